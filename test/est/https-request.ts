import { request as send, type RequestOptions } from 'node:https';
import type { IncomingHttpHeaders } from 'node:http';

export interface HttpsAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
  text: string;
}

/** One request, one answer; the path goes out byte for byte as it is given. */
export function httpsRequest(
  base: string,
  path: string,
  options: RequestOptions & { body?: Buffer | string } = {},
): Promise<HttpsAnswer> {
  const { body, ...rest } = options;
  const url = new URL(base);
  return new Promise((resolve, reject) => {
    const outgoing = send({ agent: false, ...rest, host: url.hostname, port: url.port, path }, (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('error', reject);
      incoming.on('end', () => {
        const bytes = Buffer.concat(chunks);
        resolve({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          body: bytes,
          text: bytes.toString('utf8'),
        });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
