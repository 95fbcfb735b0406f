/** Server reflection: which services and messages the gRPC address has. */
import { createRequire } from "node:module";
import type { DescFile, DescService } from "@bufbuild/protobuf";
import { toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { PackageDefinition } from "@grpc/proto-loader";
import { file_google_rpc_error_details, file_google_rpc_status } from "@muster/protocol";
import { Health, ServerReflectionV1, ServerReflectionV1Alpha } from "@muster/protocol/grpc-services";
import type { Calls } from "./calls.ts";
import { addDeferred, type DeferredMethod, type ServiceTarget } from "./deferred.ts";

/** The methods of server reflection, in its two versions. */
export const REFLECTION_METHODS: readonly DeferredMethod[] = ["v1", "v1alpha"].map((version) => ({
  path: `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
  requestStream: true,
  responseStream: true,
}));

/** What errors carry: without it a client shows them as bytes. */
const ERROR_FILES: readonly DescFile[] = [file_google_rpc_status, file_google_rpc_error_details];

/** Lets `buf curl`, grpcurl and generic clients ask the server what it serves. */
export function addReflection(
  server: ServiceTarget,
  services: readonly DescService[],
  calls: Pick<Calls, "report">,
): void {
  addDeferred(server, REFLECTION_METHODS, (target) => mountReflection(target, services), calls);
}

/** Loads the package and adds its services. Besides `services` it describes errors, health and itself. */
export function mountReflection(target: ServiceTarget, services: readonly DescService[]): void {
  const { ReflectionService } = createRequire(import.meta.url)(
    "@grpc/reflection",
  ) as typeof import("@grpc/reflection");
  const described = [...services, Health, ServerReflectionV1, ServerReflectionV1Alpha];
  const files = new Map<string, DescFile>();
  for (const file of [...described.map((service) => service.file), ...ERROR_FILES]) collect(file, files);
  const fileDescriptorProtos = [...files.values()].map((file) =>
    Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto)),
  );
  // The package takes the output of proto-loader; it reads the descriptors alone.
  const definition: PackageDefinition = Object.fromEntries(
    described.map((service) => [
      service.typeName,
      {
        format: "Protocol Buffer 3 DescriptorProto",
        type: {},
        fileDescriptorProtos,
      } as PackageDefinition[string],
    ]),
  );
  new ReflectionService(definition, { services: described.map(({ typeName }) => typeName) }).addToServer(
    target,
  );
}

function collect(file: DescFile, files: Map<string, DescFile>): void {
  if (files.has(file.name)) return;
  for (const dependency of file.dependencies) collect(dependency, files);
  files.set(file.name, file);
}
