/**
 * Services of packages whose code the first call loads. Health and reflection parse .proto files and index those of the
 * protocol: a quarter of the processor time of a start, 0.11 of 0.41 s, and 16 MiB.
 */
import { type MethodDefinition, type Server, status, type UntypedServiceImplementation } from "@grpc/grpc-js";
import type { Calls } from "./calls.ts";
import { INTERNAL } from "./errors.ts";

/** A method of such a service, as its package defines it: the server has to know these before the package is loaded. */
export interface DeferredMethod {
  /** `/grpc.health.v1.Health/Check`. */
  readonly path: string;
  /** True when the client streams. */
  readonly requestStream: boolean;
  /** True when the server streams. */
  readonly responseStream: boolean;
}

/** What a package adds its services to. */
export type ServiceTarget = Pick<Server, "addService">;

type Handler = (...call: readonly unknown[]) => void;

interface Loaded {
  readonly definition: MethodDefinition<unknown, unknown>;
  readonly handler: Handler;
}

/**
 * Serves these methods by what `mount` adds. The first call of one of them calls `mount` and returns to the event loop
 * when it is done, so a second call finds all of it. What `mount` throws is reported and answered with INTERNAL; the
 * next call tries again.
 */
export function addDeferred(
  server: ServiceTarget,
  methods: readonly DeferredMethod[],
  mount: (target: ServiceTarget) => void,
  calls: Pick<Calls, "report">,
): void {
  let services: ReadonlyMap<string, Loaded> | undefined;
  const load = (path: string): Loaded => {
    try {
      services ??= mounted(mount);
      const loaded = services.get(path);
      if (!loaded) throw new Error(`the package does not serve ${path}`);
      return loaded;
    } catch (error) {
      // grpc-js answers with the message of what is thrown, and reports nothing to the scheduler.
      calls.report(path.slice(path.lastIndexOf("/") + 1), error);
      throw new Error(INTERNAL);
    }
  };
  const definitions = methods.map(
    (method): MethodDefinition<unknown, unknown> => ({
      ...method,
      requestSerialize: (message) => load(method.path).definition.requestSerialize(message),
      requestDeserialize: (bytes) => load(method.path).definition.requestDeserialize(bytes),
      responseSerialize: (message) => load(method.path).definition.responseSerialize(message),
      responseDeserialize: (bytes) => load(method.path).definition.responseDeserialize(bytes),
    }),
  );
  const handler =
    (path: string): Handler =>
    (...call) =>
      load(path).handler(...call);
  server.addService(
    Object.fromEntries(definitions.map((definition) => [definition.path, definition])),
    Object.fromEntries(methods.map(({ path }) => [path, handler(path)])),
  );
}

/**
 * The same for a service in a module of ours, which can be imported only asynchronously: messages stay bytes until it is
 * there. Its methods take one request.
 *
 * @param load Resolves with what adds the service. What it throws is reported and answered with INTERNAL; the next call
 * tries again.
 */
export function addImported(
  server: ServiceTarget,
  methods: readonly (DeferredMethod & { readonly requestStream: false })[],
  load: () => Promise<(target: ServiceTarget) => void>,
  calls: Pick<Calls, "report">,
): void {
  let services: Promise<ReadonlyMap<string, Loaded>> | undefined;
  let loaded: ReadonlyMap<string, Loaded> | undefined;
  const find = async (path: string): Promise<Loaded> => {
    services ??= load().then(mounted);
    try {
      loaded = await services;
    } catch (error) {
      services = undefined;
      throw error;
    }
    const found = loaded.get(path);
    if (!found) throw new Error(`the module does not serve ${path}`);
    return found;
  };
  const handle = async (path: string, call: ImportedCall, callback: unknown): Promise<void> => {
    let found: Loaded;
    try {
      found = await find(path);
    } catch (error) {
      calls.report(path.slice(path.lastIndexOf("/") + 1), error);
      const failure = { code: status.INTERNAL, details: INTERNAL };
      if (typeof callback === "function") callback(failure);
      else call.emit("error", failure);
      return;
    }
    // The handler would wait for the end of a call that has ended.
    if (call.cancelled) return;
    call.request = found.definition.requestDeserialize(call.request as Buffer);
    found.handler(call, callback);
  };
  server.addService(
    Object.fromEntries(
      methods.map((method): [string, MethodDefinition<unknown, unknown>] => [
        method.path,
        {
          ...method,
          requestSerialize: (bytes) => bytes as Buffer,
          requestDeserialize: (bytes) => bytes,
          // A handler of the module answers: it is there.
          responseSerialize: (message) =>
            loaded?.get(method.path)?.definition.responseSerialize(message) ?? Buffer.alloc(0),
          responseDeserialize: (bytes) => bytes,
        },
      ]),
    ),
    Object.fromEntries(
      methods.map(({ path }) => [
        path,
        ((call: ImportedCall, callback: unknown) =>
          void handle(path, call, callback)) as UntypedServiceImplementation[string],
      ]),
    ),
  );
}

/** What the handlers of grpc-js get, as far as `addImported` uses it. */
interface ImportedCall {
  request: unknown;
  readonly cancelled: boolean;
  emit(event: "error", failure: { readonly code: status; readonly details: string }): boolean;
}

/** The methods that `mount` adds, by their paths. */
function mounted(mount: (target: ServiceTarget) => void): ReadonlyMap<string, Loaded> {
  const services = new Map<string, Loaded>();
  mount({
    addService: (service, implementation) => {
      for (const [name, definition] of Object.entries(service))
        services.set(definition.path, { definition, handler: handlerOf(implementation, name, definition) });
    },
  });
  return services;
}

/** A package names its handlers like the methods in the .proto file or in camel case. */
function handlerOf(
  implementation: UntypedServiceImplementation,
  name: string,
  { originalName = name, path }: MethodDefinition<unknown, unknown>,
): Handler {
  const handler = implementation[name] ?? implementation[originalName];
  if (!handler) throw new Error(`the package has no handler for ${path}`);
  return handler as Handler;
}
