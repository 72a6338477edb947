import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { text as readAll } from 'node:stream/consumers';
import { z } from 'zod';
import { AuthorityError, type ErrorKind } from '#kernel';
import { readReady } from './ready.js';

const TIMEOUT_MS = 30_000;
const ANSWER_BYTES = 64 * 1024 * 1024;

export interface Answer {
  status: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  text: string;
}

export interface Exchange {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  headers?: Readonly<Record<string, string>>;
  body?: string;
  /** PEM of the only roots to trust; undefined: the system's. */
  ca?: string | undefined;
}

/** One request over HTTP or TLS, the server always verified. `unavailable` in one line when no answer comes. */
export async function exchange(url: URL, options: Exchange = {}): Promise<Answer> {
  const response = await begin(url, options);
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > ANSWER_BYTES) throw new Error(`answer of more than ${ANSWER_BYTES} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw unreachable(url, error as NodeJS.ErrnoException);
  }
  const { statusCode: status = 0, headers } = response;
  return { status, headers, text: Buffer.concat(chunks).toString('utf8') };
}

/** Resolves with the head of the answer; its body is still to be read. */
function begin(url: URL, { method = 'GET', headers = {}, body, ca }: Exchange): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const open = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const options = { method, headers, agent: false, timeout: TIMEOUT_MS, ...(ca === undefined ? {} : { ca }) };
    const request = open(url, options, resolve);
    request.once('timeout', () => request.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)));
    request.on('error', (error: NodeJS.ErrnoException) => reject(unreachable(url, error)));
    request.end(body);
  });
}

function unreachable(url: URL, error: NodeJS.ErrnoException): AuthorityError {
  const options = { cause: error };
  switch (error.code) {
    case 'ECONNREFUSED':
      return new AuthorityError(
        'unavailable',
        `Nothing listens on ${url.origin}: start the instance (npm start), or name another with --url.`,
        options,
      );
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
      return new AuthorityError(
        'unavailable',
        `The certificate of ${url.origin} is not trusted: give its root certificate with --ca.`,
        options,
      );
    default:
      return new AuthorityError('unavailable', `${url.origin} cannot be used: ${error.message}.`, options);
  }
}

/** Where the API is and who asks. What is missing is found through `home/ready.json`. */
export interface Connection {
  url?: string | undefined;
  tokenFile?: string | undefined;
  ca?: string | undefined;
}

export type Query = Readonly<Record<string, string | undefined>>;

/** The API plane as this command line uses it; each call answers the JSON body. */
export interface ApiClient {
  get(path: string, query?: Query): Promise<unknown>;
  post(path: string, body: object): Promise<unknown>;
  patch(path: string, body: object): Promise<unknown>;
  put(path: string, body: object): Promise<unknown>;
  postForm(path: string, form: Readonly<Record<string, string>>): Promise<unknown>;
  delete(path: string): Promise<unknown>;
  /** An answer that is text. */
  text(path: string, query?: Query): Promise<string>;
  /** An answer of any length, as it comes; `unavailable` when it breaks off. */
  download(path: string, query?: Query): AsyncIterable<Buffer>;
}

/** `invalid` when something is neither given nor to be found. `home` is asked for only then. */
export async function connectApi(given: Connection, home: () => string): Promise<ApiClient> {
  let { url, tokenFile, ca } = given;
  if (url === undefined || tokenFile === undefined) {
    const directory = home();
    const found = await readReady(directory);
    if (found.state === 'absent' || (found.state === 'stale' && url === undefined)) {
      throw new AuthorityError(
        'unavailable',
        `No instance runs on ${directory}: start it (npm start), set TOUCHMARK_HOME, or give --url, --token-file and --ca.`,
      );
    }
    // The root of this instance says nothing about another one's server.
    if (url === undefined) ca ??= found.ready.root;
    url ??= found.ready.api;
    tokenFile ??= found.ready.operatorToken;
  }
  const base = parseBase(url);
  const token = (await readText(tokenFile, '--token-file')).trim();
  if (!/^[\x21-\x7e]+$/.test(token)) throw new AuthorityError('invalid', `--token-file: ${tokenFile} holds no token.`);
  return apiClient(base, token, ca === undefined ? undefined : await readText(ca, '--ca'));
}

function parseBase(url: string): URL {
  const base = URL.canParse(url) ? new URL(url) : undefined;
  if (base?.protocol !== 'https:') {
    throw new AuthorityError('invalid', `--url: "${url}" is not an https:// URL; a token is sent over TLS alone.`);
  }
  return base;
}

async function readText(file: string, option: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new AuthorityError(
      'invalid',
      `${option}: ${file} cannot be read (${(cause as NodeJS.ErrnoException).code}).`,
      { cause },
    );
  }
}

function apiClient(base: URL, token: string, ca: string | undefined): ApiClient {
  const at = (path: string, query: Query = {}): URL => {
    const given = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined);
    const search = new URLSearchParams(given).toString();
    return new URL(`${base.pathname.replace(/\/+$/, '')}${path}${search === '' ? '' : `?${search}`}`, base);
  };
  const authorization = `Bearer ${token}`;
  const call = async (path: string, options: Exchange, query?: Query): Promise<unknown> => {
    const headers = { accept: 'application/json', authorization, ...options.headers };
    return readAnswer(await exchange(at(path, query), { ...options, headers, ca }));
  };
  const send = (method: 'POST' | 'PATCH' | 'PUT', path: string, body: object): Promise<unknown> =>
    call(path, {
      method,
      headers: { 'content-type': 'application/json', 'idempotency-key': randomUUID() },
      body: JSON.stringify(body),
    });
  return {
    get: (path, query) => call(path, {}, query),
    async text(path, query) {
      const answer = await exchange(at(path, query), { headers: { accept: 'text/plain', authorization }, ca });
      if (!isSuccess(answer.status)) readAnswer(answer);
      return answer.text;
    },
    async *download(path, query) {
      const url = at(path, query);
      const response = await begin(url, { headers: { authorization }, ca });
      const { statusCode: status = 0, headers } = response;
      if (!isSuccess(status)) readAnswer({ status, headers, text: await readAll(response) });
      try {
        yield* response as AsyncIterable<Buffer>;
      } catch (error) {
        throw unreachable(url, error as NodeJS.ErrnoException);
      }
    },
    post: (path, body) => send('POST', path, body),
    patch: (path, body) => send('PATCH', path, body),
    put: (path, body) => send('PUT', path, body),
    postForm: (path, form) =>
      call(path, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams(form).toString(),
      }),
    delete: (path) => call(path, { method: 'DELETE' }),
  };
}

const isSuccess = (status: number): boolean => status >= 200 && status < 300;

const problem = z.object({ type: z.string(), title: z.string(), detail: z.string(), member: z.string() }).partial();

function readAnswer({ status, headers, text }: Answer): unknown {
  const body = parseJson(text);
  if (isSuccess(status)) {
    if (body !== undefined || text === '') return body ?? {};
    throw new AuthorityError('internal', `The answer (HTTP ${status}) is not JSON: is --url the API plane?`);
  }
  const said = problem.safeParse(body).data ?? {};
  const line = said.detail ?? said.title ?? 'no reason given';
  const member = said.member === undefined || line.includes(said.member) ? '' : `${said.member}: `;
  const retryAfter = Number(headers['retry-after']);
  const later = retryAfter > 0 ? `; try again in ${retryAfter} s` : '';
  const remedy = status === 401 ? ' --token-file names the file of another.' : '';
  throw new AuthorityError(kindOf(status), `${member}${line.replace(/\.$/, '')} (HTTP ${status}${later}).${remedy}`, {
    code: said.type?.split(/[/:#]/).at(-1) ?? kindOf(status),
    ...(retryAfter > 0 ? { retryAfter } : {}),
    ...(said.member === undefined ? {} : { member: said.member }),
  });
}

function kindOf(status: number): ErrorKind {
  switch (status) {
    case 400:
    case 422:
      return 'invalid';
    case 401:
      return 'unauthenticated';
    case 403:
      return 'forbidden';
    case 404:
      return 'notFound';
    case 409:
      return 'conflict';
    case 429:
      return 'limited';
    case 503:
      return 'unavailable';
    default:
      return 'internal';
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
