import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { InjectOptions } from 'fastify';
import { Registry } from 'prom-client';
import { createApi, type OidcSettings } from '#apps/api';
import type { AuthorityContext } from '#authority';
import { loadConfig } from '#kernel';
import { selfSigned } from '../est/self-signed.js';
import { silent } from '../harness/database.js';

export interface Answer {
  status: number;
  text: string;
  headers: Readonly<Record<string, unknown>>;
  json<T = Record<string, unknown>>(): T;
}

/** The API plane over a real database, asked without a socket in between. Each call comes from an address of its own. */
export interface ApiPlane {
  app: NestFastifyApplication;
  get(url: string, token?: string, headers?: Record<string, string>): Promise<Answer>;
  post(url: string, body: unknown, token?: string, headers?: Record<string, string>): Promise<Answer>;
  form(url: string, body: Record<string, string>, token?: string): Promise<Answer>;
  send(options: InjectOptions, token?: string): Promise<Answer>;
  close(): Promise<void>;
}

export async function planeOf(
  authority: AuthorityContext,
  options: { oidc?: OidcSettings; env?: Record<string, string> } = {},
): Promise<ApiPlane> {
  const app = await createApi({
    config: loadConfig(options.env ?? {}),
    authority,
    oidc: options.oidc,
    tls: await selfSigned(),
    registry: new Registry(),
    log: silent,
    readiness: () => Promise.resolve([]),
    urls: () => ({ est: 'https://localhost:1', api: 'https://localhost:2', status: 'http://localhost:3' }),
  });
  const instance = app.getHttpAdapter().getInstance();
  await instance.ready();
  let address = 0;
  const send: ApiPlane['send'] = async (options, token) => {
    address += 1;
    const answer = await instance.inject({
      remoteAddress: `10.${(address >> 16) & 255}.${(address >> 8) & 255}.${address & 255}`,
      ...options,
      headers: { ...(token === undefined ? {} : { authorization: `Bearer ${token}` }), ...options.headers },
    });
    return {
      status: answer.statusCode,
      text: answer.body,
      headers: answer.headers,
      json: <T>() => JSON.parse(answer.body) as T,
    };
  };
  return {
    app,
    send,
    get: (url, token, headers = {}) => send({ method: 'GET', url, headers }, token),
    post: (url, body, token, headers = {}) =>
      send(
        { method: 'POST', url, payload: body as object, headers: { 'content-type': 'application/json', ...headers } },
        token,
      ),
    form: (url, body, token) =>
      send(
        {
          method: 'POST',
          url,
          payload: new URLSearchParams(body).toString(),
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
        },
        token,
      ),
    close: () => app.close(),
  };
}
