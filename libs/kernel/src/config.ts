import path from 'node:path';
import { z } from 'zod';
import { AuthorityError } from './errors.js';

/** Digits only: what Number() makes of "", "0x10" or "1e3" is nobody's wish. */
function integer(least: number, most: number, unit: string) {
  const what = `must be ${unit}, a whole number from ${least} to ${most}`;
  const range = z.number().min(least, what).max(most, what);
  return z
    .string()
    .regex(/^[0-9]{1,12}$/, what)
    .transform(Number)
    .pipe(range);
}

const databaseUrl = z.url({ protocol: /^postgres(ql)?$/, error: 'must be a postgres:// URL' });
const port = integer(0, 65_535, 'a port');
/** 100 years: beyond that, dates leave what certificates can say. */
const seconds = integer(1, 3_153_600_000, 'seconds');
const count = integer(1, 1_000_000, 'a count');

export const PLANES = ['api', 'est', 'responder', 'worker', 'signer', 'migrate'] as const;
export type PlaneRole = (typeof PLANES)[number];

const DAY = 86_400;
const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

const environment = z.object({
  TOUCHMARK_HOME: z.string().min(1).default('./var'),
  DATABASE_URL: databaseUrl.optional(),
  REDIS_URL: z.url({ protocol: /^rediss?$/, error: 'must be a redis:// or rediss:// URL' }).optional(),
  TOUCHMARK_HOST: z.string().min(1).default('127.0.0.1'),
  TOUCHMARK_EST_PORT: port.default(8443),
  TOUCHMARK_API_PORT: port.default(8444),
  TOUCHMARK_STATUS_PORT: port.default(8080),
  TOUCHMARK_METRICS_PORT: port.optional(),
  // Clients fetch status by plain HTTP: over TLS, checking a certificate would need a checked certificate (RFC 5280 section 8).
  TOUCHMARK_STATUS_URL: z.url({ protocol: /^http$/, error: 'must be an http:// URL' }).optional(),
  TOUCHMARK_HOSTNAMES: z.string().min(1).default('localhost,127.0.0.1'),
  TOUCHMARK_SECRETS_DIR: z.string().min(1).optional(),
  TOUCHMARK_DB_API_URL: databaseUrl.optional(),
  TOUCHMARK_DB_EST_URL: databaseUrl.optional(),
  TOUCHMARK_DB_RESPONDER_URL: databaseUrl.optional(),
  TOUCHMARK_DB_WORKER_URL: databaseUrl.optional(),
  TOUCHMARK_DB_SIGNER_URL: databaseUrl.optional(),
  TOUCHMARK_DB_MIGRATE_URL: databaseUrl.optional(),
  LOG_LEVEL: z.enum(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(', ')}`).default('info'),
  NODE_ENV: z.string().optional(),
  TOUCHMARK_CRL_NEXT_UPDATE_SECONDS: seconds.default(7 * DAY),
  TOUCHMARK_CRL_REBUILD_SECONDS: seconds.default(3600),
  TOUCHMARK_CRL_DEBOUNCE_MS: integer(0, 60_000, 'milliseconds').default(500),
  TOUCHMARK_ROOT_CRL_NEXT_UPDATE_SECONDS: seconds.default(30 * DAY),
  TOUCHMARK_OCSP_NEXT_UPDATE_SECONDS: seconds.default(48 * 3600),
  TOUCHMARK_OCSP_RENEW_SECONDS: seconds.default(12 * 3600),
  TOUCHMARK_OCSP_MAX_AGE_SECONDS: seconds.default(60),
  TOUCHMARK_OCSP_MAX_AGE_REVOKED_SECONDS: seconds.default(3600),
  TOUCHMARK_OCSP_DELEGATE_SECONDS: seconds.default(30 * DAY),
  TOUCHMARK_OCSP_DELEGATE_RENEW_SECONDS: seconds.default(10 * DAY),
  TOUCHMARK_FOLLOWER_POLL_MS: integer(10, 5000, 'milliseconds').default(250),
  TOUCHMARK_ENROLLMENT_SECRET_SECONDS: seconds.default(7 * DAY),
  TOUCHMARK_DEVICE_CERTIFICATE_SECONDS: seconds.default(90 * DAY),
  TOUCHMARK_SERVER_CERTIFICATE_SECONDS: seconds.default(90 * DAY),
  TOUCHMARK_SERVER_CERTIFICATE_RENEW_SECONDS: seconds.default(30 * DAY),
  TOUCHMARK_ISSUING_CA_SECONDS: seconds.default(5 * 365 * DAY),
  TOUCHMARK_ROOT_CA_SECONDS: seconds.default(10 * 365 * DAY),
  TOUCHMARK_API_KEY_MAX_SECONDS: seconds.default(398 * DAY),
  TOUCHMARK_FAILED_AUTH_PER_ADDRESS: count.default(100),
  TOUCHMARK_FAILED_AUTH_PER_SECRET: count.default(5),
});

/** All durations in seconds unless the name says otherwise. */
export interface Lifetimes {
  crlNextUpdate: number;
  crlRebuild: number;
  crlDebounceMs: number;
  rootCrlNextUpdate: number;
  ocspNextUpdate: number;
  ocspRenew: number;
  ocspMaxAge: number;
  ocspMaxAgeRevoked: number;
  ocspDelegate: number;
  ocspDelegateRenew: number;
  followerPollMs: number;
  enrollmentSecret: number;
  deviceCertificate: number;
  serverCertificate: number;
  serverCertificateRenew: number;
  issuingCa: number;
  rootCa: number;
  apiKeyMax: number;
}

/** Immutable and validated; nothing else reads the environment. */
export interface Config {
  home: string;
  secretsDir: string;
  /** undefined: embedded Postgres in `home/pg`. */
  databaseUrl: string | undefined;
  planeDatabaseUrls: Readonly<Record<PlaneRole, string | undefined>>;
  redisUrl: string | undefined;
  host: string;
  ports: Readonly<{ est: number; api: number; status: number; metrics: number | undefined }>;
  /** undefined: derived from host and the status port once that is known. */
  statusUrl: string | undefined;
  hostnames: readonly string[];
  logLevel: string;
  production: boolean;
  lifetimes: Readonly<Lifetimes>;
  failedAuth: Readonly<{ perAddressPerMinute: number; perSecretPerMinute: number }>;
}

/**
 * Reads and checks the environment once. Throws `invalid` with one line that names the variable, what it holds and what
 * it should hold.
 */
export function loadConfig(env: Readonly<Record<string, string | undefined>> = process.env): Config {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const parsed = environment.safeParse(given);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const name = String(issue?.path[0] ?? 'environment');
    // A database URL may hold a password.
    const held = name.endsWith('_URL') ? '' : ` is ${JSON.stringify(given[name])}, but`;
    throw new AuthorityError('invalid', `${name}${held} ${issue?.message ?? 'is not usable'}`, { member: name });
  }
  const e = parsed.data;
  const lifetimes = lifetimesOf(e);
  checkLifetimes(lifetimes);
  const home = path.resolve(e.TOUCHMARK_HOME);
  return {
    home,
    secretsDir: path.resolve(e.TOUCHMARK_SECRETS_DIR ?? path.join(home, 'secrets')),
    databaseUrl: e.DATABASE_URL,
    planeDatabaseUrls: {
      api: e.TOUCHMARK_DB_API_URL,
      est: e.TOUCHMARK_DB_EST_URL,
      responder: e.TOUCHMARK_DB_RESPONDER_URL,
      worker: e.TOUCHMARK_DB_WORKER_URL,
      signer: e.TOUCHMARK_DB_SIGNER_URL,
      migrate: e.TOUCHMARK_DB_MIGRATE_URL,
    },
    redisUrl: e.REDIS_URL,
    host: e.TOUCHMARK_HOST,
    ports: {
      est: e.TOUCHMARK_EST_PORT,
      api: e.TOUCHMARK_API_PORT,
      status: e.TOUCHMARK_STATUS_PORT,
      metrics: e.TOUCHMARK_METRICS_PORT,
    },
    statusUrl: e.TOUCHMARK_STATUS_URL?.replace(/\/+$/, ''),
    hostnames: hostnames(e.TOUCHMARK_HOSTNAMES),
    logLevel: e.LOG_LEVEL,
    production: e.NODE_ENV === 'production',
    lifetimes,
    failedAuth: {
      perAddressPerMinute: e.TOUCHMARK_FAILED_AUTH_PER_ADDRESS,
      perSecretPerMinute: e.TOUCHMARK_FAILED_AUTH_PER_SECRET,
    },
  };
}

function lifetimesOf(e: z.infer<typeof environment>): Lifetimes {
  return {
    crlNextUpdate: e.TOUCHMARK_CRL_NEXT_UPDATE_SECONDS,
    crlRebuild: e.TOUCHMARK_CRL_REBUILD_SECONDS,
    crlDebounceMs: e.TOUCHMARK_CRL_DEBOUNCE_MS,
    rootCrlNextUpdate: e.TOUCHMARK_ROOT_CRL_NEXT_UPDATE_SECONDS,
    ocspNextUpdate: e.TOUCHMARK_OCSP_NEXT_UPDATE_SECONDS,
    ocspRenew: e.TOUCHMARK_OCSP_RENEW_SECONDS,
    ocspMaxAge: e.TOUCHMARK_OCSP_MAX_AGE_SECONDS,
    ocspMaxAgeRevoked: e.TOUCHMARK_OCSP_MAX_AGE_REVOKED_SECONDS,
    ocspDelegate: e.TOUCHMARK_OCSP_DELEGATE_SECONDS,
    ocspDelegateRenew: e.TOUCHMARK_OCSP_DELEGATE_RENEW_SECONDS,
    followerPollMs: e.TOUCHMARK_FOLLOWER_POLL_MS,
    enrollmentSecret: e.TOUCHMARK_ENROLLMENT_SECRET_SECONDS,
    deviceCertificate: e.TOUCHMARK_DEVICE_CERTIFICATE_SECONDS,
    serverCertificate: e.TOUCHMARK_SERVER_CERTIFICATE_SECONDS,
    serverCertificateRenew: e.TOUCHMARK_SERVER_CERTIFICATE_RENEW_SECONDS,
    issuingCa: e.TOUCHMARK_ISSUING_CA_SECONDS,
    rootCa: e.TOUCHMARK_ROOT_CA_SECONDS,
    apiKeyMax: e.TOUCHMARK_API_KEY_MAX_SECONDS,
  };
}

function hostnames(text: string): string[] {
  const names = text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  const bad = names.find((name) => !/^[A-Za-z0-9.:-]{1,253}$/.test(name));
  if (names.length === 0 || bad !== undefined) {
    throw new AuthorityError('invalid', `TOUCHMARK_HOSTNAMES: "${bad ?? text}" is not a host name or IP address`, {
      member: 'TOUCHMARK_HOSTNAMES',
    });
  }
  return names;
}

/** A pair is inconsistent where the first must lie below the second for renewal to happen before the end. */
function checkLifetimes(l: Lifetimes): void {
  const below: [keyof Lifetimes, keyof Lifetimes, string, string][] = [
    ['crlRebuild', 'crlNextUpdate', 'TOUCHMARK_CRL_REBUILD_SECONDS', 'TOUCHMARK_CRL_NEXT_UPDATE_SECONDS'],
    ['ocspRenew', 'ocspNextUpdate', 'TOUCHMARK_OCSP_RENEW_SECONDS', 'TOUCHMARK_OCSP_NEXT_UPDATE_SECONDS'],
    ['ocspMaxAge', 'ocspRenew', 'TOUCHMARK_OCSP_MAX_AGE_SECONDS', 'TOUCHMARK_OCSP_RENEW_SECONDS'],
    ['ocspMaxAgeRevoked', 'ocspRenew', 'TOUCHMARK_OCSP_MAX_AGE_REVOKED_SECONDS', 'TOUCHMARK_OCSP_RENEW_SECONDS'],
    [
      'ocspNextUpdate',
      'ocspDelegateRenew',
      'TOUCHMARK_OCSP_NEXT_UPDATE_SECONDS',
      'TOUCHMARK_OCSP_DELEGATE_RENEW_SECONDS',
    ],
    ['ocspDelegateRenew', 'ocspDelegate', 'TOUCHMARK_OCSP_DELEGATE_RENEW_SECONDS', 'TOUCHMARK_OCSP_DELEGATE_SECONDS'],
    [
      'serverCertificateRenew',
      'serverCertificate',
      'TOUCHMARK_SERVER_CERTIFICATE_RENEW_SECONDS',
      'TOUCHMARK_SERVER_CERTIFICATE_SECONDS',
    ],
    ['deviceCertificate', 'issuingCa', 'TOUCHMARK_DEVICE_CERTIFICATE_SECONDS', 'TOUCHMARK_ISSUING_CA_SECONDS'],
    ['issuingCa', 'rootCa', 'TOUCHMARK_ISSUING_CA_SECONDS', 'TOUCHMARK_ROOT_CA_SECONDS'],
  ];
  for (const [small, large, smallName, largeName] of below) {
    if (l[small] >= l[large]) {
      throw new AuthorityError(
        'invalid',
        `${smallName} (${l[small]}) must be smaller than ${largeName} (${l[large]})`,
        {
          member: smallName,
        },
      );
    }
  }
}
