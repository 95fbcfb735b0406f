import { createRequire } from "node:module";
import type { DescFile, DescService } from "@bufbuild/protobuf";
import { toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { PackageDefinition } from "@grpc/proto-loader";
import type { Calls } from "./calls.ts";
import { addDeferred, type DeferredMethod, type ServiceTarget } from "./deferred.ts";

/** The methods of server reflection, in its two versions. */
export const REFLECTION_METHODS: readonly DeferredMethod[] = ["v1", "v1alpha"].map((version) => ({
  path: `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
  requestStream: true,
  responseStream: true,
}));

/** Lets `buf curl`, grpcurl and generic clients ask the server what it serves. */
export function addReflection(
  server: ServiceTarget,
  services: readonly DescService[],
  calls: Pick<Calls, "report">,
): void {
  addDeferred(server, REFLECTION_METHODS, (target) => mountReflection(target, services), calls);
}

/** Loads the package and adds its services. */
export function mountReflection(target: ServiceTarget, services: readonly DescService[]): void {
  const { ReflectionService } = createRequire(import.meta.url)(
    "@grpc/reflection",
  ) as typeof import("@grpc/reflection");
  const files = new Map<string, DescFile>();
  for (const service of services) collect(service.file, files);
  const fileDescriptorProtos = [...files.values()].map((file) =>
    Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto)),
  );
  // The package takes the output of proto-loader; it reads the descriptors alone.
  const definition: PackageDefinition = Object.fromEntries(
    services.map((service) => [
      service.typeName,
      {
        format: "Protocol Buffer 3 DescriptorProto",
        type: {},
        fileDescriptorProtos,
      } as PackageDefinition[string],
    ]),
  );
  new ReflectionService(definition, { services: services.map(({ typeName }) => typeName) }).addToServer(
    target,
  );
}

function collect(file: DescFile, files: Map<string, DescFile>): void {
  if (files.has(file.name)) return;
  for (const dependency of file.dependencies) collect(dependency, files);
  files.set(file.name, file);
}
