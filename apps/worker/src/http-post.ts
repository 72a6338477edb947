import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { AuthorityError } from '#kernel';

const TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 64 * 1024;

export interface PostAnswer {
  status: number;
  text: string;
}

/** One POST, no redirects followed. Throws `unavailable` when no answer comes in time, or too long a one. */
export function post(url: URL, contentType: string, body: string, signal: AbortSignal): Promise<PostAnswer> {
  return new Promise((resolve, reject) => {
    const fail = (cause: Error) =>
      reject(new AuthorityError('unavailable', `${url.host} does not answer (${cause.message})`, { cause }));
    const open = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const headers = { 'content-type': contentType, 'content-length': Buffer.byteLength(body) };
    const request = open(url, { method: 'POST', agent: false, headers, signal }, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_ANSWER_BYTES) request.destroy(new Error('the answer is too long'));
        chunks.push(chunk);
      });
      response.once('error', fail);
      response.once('end', () => {
        clearTimeout(deadline);
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') });
      });
    });
    const deadline = setTimeout(() => request.destroy(new Error('no answer within 10 s')), TIMEOUT_MS);
    request.once('error', fail);
    request.once('close', () => clearTimeout(deadline));
    request.end(body);
  });
}
