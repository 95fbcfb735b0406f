import type { DescFile, DescService } from "@bufbuild/protobuf";
import { toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { Server } from "@grpc/grpc-js";
import type { PackageDefinition } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";

/** Lets `buf curl`, grpcurl and generic clients ask the server what it serves. */
export function addReflection(server: Server, services: readonly DescService[]): void {
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
    server,
  );
}

function collect(file: DescFile, files: Map<string, DescFile>): void {
  if (files.has(file.name)) return;
  for (const dependency of file.dependencies) collect(dependency, files);
  files.set(file.name, file);
}
