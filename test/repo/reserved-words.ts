/**
 * Words that a proto may not use, by target language: reserved words, and the members and types that generated code
 * already has. `cpp` also has the macros of libc, POSIX and windows.h. Case counts: a name is compared in the form that
 * the language's generator gives it.
 */

export type Case = "snake" | "camel" | "pascal";

/** One language that buf has a plugin for. */
export interface ReservedWords {
  /** Form of a field's accessor and of an rpc's method in generated code. */
  readonly fields: Case;
  readonly rpcs: Case;
  /** Reserved words of the language. */
  readonly keywords: string;
  /** Members of every generated message. */
  readonly messageMembers?: string;
  /** Members of every generated client. */
  readonly clientMembers?: string;
  /** Types that a generated type of the same name would hide. */
  readonly typeNames?: string;
  /** True where the language allows its reserved words as names of fields and methods. */
  readonly keywordsNameMembers?: boolean;
  /** Clashes that stay, with what the generator makes of them. */
  readonly accepted?: Readonly<Record<string, string>>;
}

export const RESERVED_WORDS: Readonly<Record<string, ReservedWords>> = {
  cpp: {
    fields: "snake",
    rpcs: "pascal",
    keywords: `
      BOOL DEBUG DELETE DIFFERENCE DOMAIN EOF ERROR FALSE FAR IGNORE IN INFINITY INPUT INTERFACE MAX
      MIN NAN NEAR NO_DATA NO_ERROR NULL OPTIONAL OUT OVERFLOW PLOSS RELATIVE SING STATUS_PENDING
      STATUS_TIMEOUT STRICT TLOSS TRANSPARENT TRUE UNDERFLOW VOID alignas alignof and and_eq asm
      assert auto bitand bitor bool break case catch char char16_t char32_t char8_t class co_await
      co_return co_yield compl concept const const_cast consteval constexpr constinit continue
      decltype default delete do double dynamic_cast else enum errno explicit export extern false
      far float for friend goto if inline int interface linux long major makedev max min minor
      mutable namespace near new noexcept not not_eq nullptr operator or or_eq private protected
      public register reinterpret_cast requires return short signed sizeof small static
      static_assert static_cast stderr stdin stdout struct switch template this thread_local throw
      true try typedef typeid typename union unix unsigned using virtual void volatile wchar_t while
      xor xor_eq`,
    messageMembers: "default_instance descriptor internal_default_instance swap",
    clientMembers: `
      AsyncService CallbackService NewStub Service StreamedService Stub StubInterface async`,
  },
  csharp: {
    fields: "pascal",
    rpcs: "pascal",
    keywords: "",
    messageMembers: `
      CalculateSize Clone Descriptor Equals Finalize GetHashCode GetType MemberwiseClone MergeFrom
      Parser ReferenceEquals ToString Types WriteTo`,
    clientMembers: `
      BindService Equals Finalize GetHashCode GetType MemberwiseClone NewInstance ReferenceEquals
      ToString WithHost`,
    typeNames: "Types",
  },
  dart: {
    fields: "camel",
    rpcs: "camel",
    keywords: `
      assert break case catch class const continue default do else enum extends false final finally
      for if in is new null rethrow return super switch this throw true try var void when while with`,
    messageMembers: `
      addExtension check clear clearExtension clearField clone copyWith create createEmptyInstance
      createMapField createRepeated createRepeatedField deepCopy eventPlugin
      extensionsAreInitialized freeze fromBuffer fromJson getDefault getDefaultForField getExtension
      getField getFieldOrNull getTagNumber hasExtension hasField hasRequiredFields hashCode info_
      isFrozen isInitialized mergeFromBuffer mergeFromCodedBufferReader mergeFromJson
      mergeFromJsonMap mergeFromMessage mergeFromProto3Json mergeUnknownFields noSuchMethod rebuild
      runtimeType setExtension setField toBuilder toDebugString toProto3Json toString unknownFields
      writeToBuffer writeToCodedBufferWriter writeToJson writeToJsonMap`,
    clientMembers: "hashCode noSuchMethod runtimeType toString",
    typeNames: `
      Duration Function List Map Never Null Object Set String bool double dynamic int num`,
  },
  go: {
    fields: "pascal",
    rpcs: "pascal",
    keywords: `
      break case chan const continue default defer else fallthrough for func go goto if import
      interface internal main map package range return select struct switch type var vendor`,
    messageMembers: `
      Descriptor ExtensionMap ExtensionRangeArray Marshal ProtoMessage ProtoReflect Reset String
      Unmarshal`,
  },
  java: {
    fields: "camel",
    rpcs: "camel",
    keywords: `
      _ abstract assert boolean break byte case catch char class const continue default do double
      else enum extends false final finally float for goto if implements import instanceof int
      interface long native new null package private protected public return short static strictfp
      super switch synchronized this throw throws transient true try void volatile while`,
    messageMembers: `
      allFields cachedSize class defaultInstance defaultInstanceForType descriptor descriptorForType
      field fieldBuilder initializationErrorString oneofFieldDescriptor parserForType repeatedField
      repeatedFieldBuilder repeatedFieldCount serializedSize unknownFields`,
    clientMembers: `
      bindService build clone equals finalize getCallOptions getChannel getClass
      getServiceDescriptor hashCode newBlockingStub newFutureStub newStub notify notifyAll toString
      wait withCallCredentials withChannel withCompression withDeadline withDeadlineAfter
      withExecutor withInterceptors withMaxInboundMessageSize withMaxOutboundMessageSize
      withOnReadyThreshold withOption withWaitForReady`,
    typeNames: `
      Boolean Byte Character Class Double Enum Exception Float Integer Iterable Long Object Override
      Record Runnable Short String System Thread Throwable Void`,
  },
  javascript: {
    fields: "camel",
    rpcs: "camel",
    keywords: `
      arguments await break case catch class const continue debugger default delete do else enum
      eval export extends false finally for function if implements import in instanceof interface
      let new null package private protected public return static super switch this throw true try
      typeof var void while with yield`,
    messageMembers: `
      __proto__ clone constructor extension getExtension jsPbMessageId serializeBinary setExtension
      toArray toJSON toObject toString valueOf`,
    clientMembers: `
      __proto__ close constructor getChannel makeBidiStreamRequest makeClientStreamRequest
      makeServerStreamRequest makeUnaryRequest toString valueOf waitForReady`,
    typeNames: `
      Array BigInt Boolean Buffer Date Error Function JSON Map Math Number Object Promise Proxy
      Reflect RegExp Set String Symbol Uint8Array`,
  },
  kotlin: {
    fields: "camel",
    rpcs: "camel",
    keywords: `
      as break class continue do else false for fun if in interface is null object package return
      super this throw true try typealias typeof val var when while`,
    clientMembers: "build callOptions channel equals hashCode toString",
    typeNames: "Any Array Boolean Int List Long Map Nothing Pair Result Set String Unit",
  },
  objc: {
    fields: "camel",
    rpcs: "camel",
    keywords: `
      BOOL IBAction IBOutlet IMP NO NULL Nil SEL YES atomic auto bool break bycopy byref case char
      const continue default do double else enum extern float for goto id if in inline inout int
      long nil nonatomic oneway out register restrict return self short signed sizeof static struct
      super switch typedef typeof union unsigned void volatile while`,
    messageMembers: `
      alloc allocWithZone autorelease class clear copy copyWithZone data dealloc debugDescription
      delimitedData description descriptor extensionRegistry extensionsCurrentlySet finalize hash
      init initialize initialized isEqual isInitialized isProxy load mutableCopy new performSelector
      release retain retainCount serializedSize sortedExtensionsInUse superclass unknownFields
      version zone`,
    clientMembers: "init",
    accepted: { id: "becomes id_p", data: "becomes data_p" },
  },
  php: {
    fields: "camel",
    rpcs: "pascal",
    keywords: `
      abstract and array as bool break callable case catch class clone const continue declare
      default die do echo else elseif empty enddeclare endfor endforeach endif endswitch endwhile
      eval exit extends false final finally float fn for foreach function global goto if implements
      include include_once instanceof insteadof int interface isset iterable list match mixed
      namespace never new null object or parent print private protected public readonly require
      require_once return self static string switch throw trait true try unset use var void while
      xor yield`,
    clientMembers: "__construct close getConnectivityState getTarget waitForReady",
    keywordsNameMembers: true,
  },
  python: {
    fields: "snake",
    rpcs: "pascal",
    keywords: `
      False None True and as assert async await break class continue def del elif else except
      finally for from global if import in is lambda nonlocal not or pass raise return try while
      with yield`,
    messageMembers: `
      dump from_dict from_json from_pydict is_set load mro parse self to_dict to_json to_pydict`,
    typeNames: "DESCRIPTOR",
  },
  ruby: {
    fields: "snake",
    rpcs: "snake",
    keywords: `
      BEGIN END alias and begin break case class def defined do else elsif end ensure false for if
      in module next nil not or redo rescue retry return self super then true undef unless until
      when while yield`,
    messageMembers: `
      clone decode display dup encode extend freeze frozen hash inspect instance_of is_a itself
      method methods nil object_id public_send respond_to send singleton_class tap then to_h to_s`,
    clientMembers: `
      bidi_streamer client_streamer initialize method request_response send server_streamer`,
    typeNames: "BasicObject Class Kernel Module Object",
  },
  rust: {
    fields: "snake",
    rpcs: "snake",
    keywords: `
      Self abstract as async await become box break const continue crate do dyn else enum extern
      false final fn for gen if impl in let loop macro match mod move mut override priv pub ref
      return self static struct super trait true try type typeof unsafe unsized use virtual where
      while yield`,
    messageMembers: "clear clone decode default encode encoded_len eq merge ne",
    clientMembers: `
      accept_compressed clone connect from_arc max_decoding_message_size max_encoding_message_size
      new send_compressed with_interceptor with_origin`,
    typeNames: "Box Default Err None Ok Option Result Some String Vec",
  },
  scala: {
    fields: "camel",
    rpcs: "camel",
    keywords: `
      abstract case catch class def do else enum export extends false final finally for forSome
      given if implicit import lazy macro match new null object override package private protected
      return sealed super then this throw trait true try type val var while with yield`,
    messageMembers: `
      asInstanceOf canEqual clone companion copy discardUnknownFields eq equals finalize getClass
      getField getFieldByNumber hashCode isInstanceOf ne notify notifyAll productArity
      productElement productIterator productPrefix serializedSize synchronized toByteArray
      toByteString toProtoString toString unknownFields update wait writeTo`,
    clientMembers: `
      build channel clone equals finalize getClass hashCode notify notifyAll options synchronized
      toString wait`,
    typeNames: "Any AnyRef Boolean Int List Long Map None Nothing Option Seq Some String Unit",
  },
  swift: {
    fields: "camel",
    rpcs: "camel",
    keywords: `
      Any Protocol Self Type as associatedtype async await break case catch class continue default
      defer deinit do dynamicType else enum extension fallthrough false fileprivate for func guard
      if import in init inout internal is let nil operator precedencegroup private protocol public
      repeat rethrows return self static struct subscript super switch throw throws true try
      typealias var where while`,
    messageMembers: `
      anyTypeURL debugDescription decodeMessage description hash hashValue isInitialized jsonString
      jsonUTF8Data merge protoMessageName serializedBytes serializedData textFormatString traverse
      unknownFields`,
    clientMembers: "channel defaultCallOptions interceptors",
  },
};
