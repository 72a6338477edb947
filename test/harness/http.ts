import http from 'node:http';
import https from 'node:https';

export interface Reply {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: Buffer;
  text: string;
  /** The body as JSON; throws where it is none. */
  json<T = Record<string, unknown>>(): T;
}

export interface Call {
  method?: string;
  headers?: Record<string, string>;
  body?: Buffer | string;
  tls?: https.RequestOptions;
  agent?: https.Agent | http.Agent;
}

/** One request to its end, over a connection of its own unless an agent is given. */
export function call(url: string, options: Call = {}): Promise<Reply> {
  const target = new URL(url);
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  const request = (target.protocol === 'https:' ? https : http).request(
    {
      ...options.tls,
      host: target.hostname,
      port: target.port,
      path: `${target.pathname}${target.search}`,
      method: options.method ?? 'GET',
      headers: options.headers ?? {},
      agent: options.agent ?? false,
    },
    (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const body = Buffer.concat(chunks);
        const text = body.toString();
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body,
          text,
          json: <T>() => JSON.parse(text) as T,
        });
      });
    },
  );
  request.on('error', reject);
  request.end(options.body);
  return promise;
}
