import { mkdtemp, readFile, rm, chmod } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { DestinationStream } from 'pino';
import { createLogger, startInstance, type Instance, type Urls } from '#apps/touchmark';
import { loadConfig, type Config } from '#kernel';
import { call, type Call, type Reply } from './http.js';
import { redisOfSuite } from './redis.js';
import { prepareInstance } from './template.js';

export interface TestInstance {
  config: Config;
  home: string;
  urls: Urls;
  operatorToken: string;
  rootPem: string;
  /** JSON to the API plane as the bootstrap operator; `token: null` sends none. */
  api(method: string, path: string, body?: unknown, options?: ApiCall): Promise<Reply>;
  /** Raw request to the EST plane; `tls` may carry a client certificate. */
  est(path: string, options?: Call): Promise<Reply>;
  /** Plain HTTP to the status plane. */
  status(path: string, options?: Call): Promise<Reply>;
  stop(): Promise<void>;
  /** The same home again. */
  restart(): Promise<void>;
}

export interface ApiCall {
  token?: string | null;
  headers?: Record<string, string>;
}

/**
 * A whole instance of its own: embedded Postgres, every plane, free ports, a home that is removed on stop. Its schema
 * is there before it starts.
 * `env` overrides settings. Set TEST_LOG=debug to see its log, or give it a `destination`.
 */
export async function startTestInstance(
  env: Record<string, string> = {},
  destination?: DestinationStream,
): Promise<TestInstance> {
  const home = await mkdtemp(path.join(tmpdir(), 'touchmark-'));
  await chmod(home, 0o711);
  await prepareInstance(home);
  const config = loadConfig({
    TOUCHMARK_HOME: home,
    TOUCHMARK_EST_PORT: '0',
    TOUCHMARK_API_PORT: '0',
    TOUCHMARK_STATUS_PORT: '0',
    LOG_LEVEL: process.env['TEST_LOG'] ?? 'fatal',
    ...redisOfSuite(),
    ...env,
  });
  const log = createLogger({ level: config.logLevel, production: true }, destination);
  let instance: Instance = await startInstance({ config, log });
  const rootPem = await readFile(instance.rootCertificatePath, 'utf8');
  const operatorToken = (await readFile(instance.operatorTokenPath, 'utf8')).trim();
  return {
    config,
    home,
    get urls() {
      return instance.urls;
    },
    operatorToken,
    rootPem,
    api: (method, route, body, options = {}) => {
      const token = options.token === undefined ? operatorToken : options.token;
      return call(`${instance.urls.api}${route}`, {
        method,
        headers: {
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...options.headers,
        },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
        tls: { ca: rootPem },
      });
    },
    est: (route, options = {}) =>
      call(`${instance.urls.est}${route}`, { ...options, tls: { ca: rootPem, ...options.tls } }),
    status: (route, options = {}) => call(`${instance.urls.status}${route}`, options),
    stop: async () => {
      await instance.stop();
      await rm(home, { recursive: true, force: true });
    },
    restart: async () => {
      await instance.stop();
      instance = await startInstance({ config, log });
    },
  };
}
