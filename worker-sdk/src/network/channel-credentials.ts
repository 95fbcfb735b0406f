/** Credentials of gRPC channels. */
import { type ChannelCredentials, credentials } from "@grpc/grpc-js";
import type { TlsMaterial } from "../options/connection-options.ts";

/** Credentials of a grpc-js channel; plain text without TLS material. */
export function channelCredentials(tls: TlsMaterial | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  const buffer = (text: string | undefined) => (text === undefined ? null : Buffer.from(text));
  return credentials.createSsl(buffer(tls.ca), buffer(tls.key), buffer(tls.cert));
}
