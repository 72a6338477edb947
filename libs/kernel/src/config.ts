import { isIP } from 'node:net';
import path from 'node:path';
import { environment, type Environment } from './environment.js';
import { AuthorityError } from './errors.js';
import { estSettings, type EstSettings } from './est-settings.js';
import { checkLifetimes, type Lifetimes } from './lifetimes.js';
import { readNetworks } from './networks.js';

export const PLANES = ['api', 'est', 'responder', 'worker', 'signer', 'migrate'] as const;
export type PlaneRole = (typeof PLANES)[number];

/** Immutable and validated; nothing else reads the environment. */
export interface Config extends EstSettings {
  home: string;
  secretsDir: string;
  /** Where `ca.kek` lies; `secretsDir`, unless the signer is to be the only one that sees it. */
  caSecretsDir: string;
  signer: Readonly<{
    /** `child`: started by whoever serves. `socket`: somebody else runs it. */
    mode: 'in-process' | 'child' | 'socket';
    socket: string;
    /** Where new CA keys are made unless their maker says otherwise. */
    newKeys: 'sealed' | 'pkcs11';
    pkcs11: Readonly<{ module: string; token: string; pinFile: string }> | undefined;
  }>;
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
  /** As browsers reach the API plane, for sign-in; undefined: derived from host and port. */
  apiUrl: string | undefined;
  /** One person may approve what it proposed, as long as nobody else could. */
  singleOperator: boolean;
  /** Seconds. */
  access: Readonly<{ session: number; invitation: number; tokenMax: number }>;
  audit: Readonly<{
    /** `file:<path>`, `webhook:<url>`, `witness:<url>#<verifier key>`. */
    witnesses: readonly string[];
    sealMs: number;
  }>;
  /** undefined: no mail is sent. */
  mail: Readonly<{ smtpUrl: string; from: string }> | undefined;
  webhooks: Readonly<{
    /** CIDR blocks that webhooks may reach although they are not public. */
    allowedNetworks: readonly string[];
    deliveryLogDays: number;
  }>;
  dns: Readonly<{
    /** Where domain proofs are looked up, `address` or `address:port`; empty: as the system does. */
    servers: readonly string[];
  }>;
  /** 0: off. */
  canarySeconds: number;
  /** Where the canary finds the planes; undefined: where they are in this process. */
  canaryUrls: Readonly<{ api: string | undefined; est: string | undefined; status: string | undefined }>;
  /** Of organizations that have none of their own. */
  quotas: Readonly<{ requestsPerMinute: number; issuancePerMinute: number }>;
  /** Where traces go (OpenTelemetry, OTLP over HTTP); undefined: nowhere. */
  otlpEndpoint: string | undefined;
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
  const places = placesOf(e);
  return {
    ...places,
    signer: signerOf(e, places),
    databaseUrl: e.DATABASE_URL,
    planeDatabaseUrls: planeUrls(e),
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
    apiUrl: e.TOUCHMARK_API_URL?.replace(/\/+$/, ''),
    singleOperator: e.TOUCHMARK_SINGLE_OPERATOR === 'true',
    access: {
      session: e.TOUCHMARK_SESSION_SECONDS,
      invitation: e.TOUCHMARK_INVITATION_SECONDS,
      tokenMax: e.TOUCHMARK_TOKEN_MAX_SECONDS,
    },
    audit: { witnesses: list(e.TOUCHMARK_AUDIT_WITNESSES), sealMs: e.TOUCHMARK_AUDIT_SEAL_MS },
    mail: mailOf(e.TOUCHMARK_SMTP_URL, e.TOUCHMARK_MAIL_FROM),
    webhooks: {
      allowedNetworks: networks(e.TOUCHMARK_WEBHOOK_NETWORKS),
      deliveryLogDays: e.TOUCHMARK_DELIVERY_LOG_DAYS,
    },
    dns: { servers: dnsServers(e.TOUCHMARK_DNS_SERVERS) },
    canarySeconds: e.TOUCHMARK_CANARY_SECONDS,
    canaryUrls: canaryUrlsOf(e),
    quotas: {
      requestsPerMinute: e.TOUCHMARK_QUOTA_REQUESTS_PER_MINUTE,
      issuancePerMinute: e.TOUCHMARK_QUOTA_ISSUANCE_PER_MINUTE,
    },
    ...estSettings(e),
    otlpEndpoint: e.OTEL_EXPORTER_OTLP_ENDPOINT,
  };
}

function placesOf(e: Environment): Pick<Config, 'home' | 'secretsDir' | 'caSecretsDir'> {
  const home = path.resolve(e.TOUCHMARK_HOME);
  const secretsDir = path.resolve(e.TOUCHMARK_SECRETS_DIR ?? path.join(home, 'secrets'));
  return { home, secretsDir, caSecretsDir: path.resolve(e.TOUCHMARK_CA_SECRETS_DIR ?? secretsDir) };
}

function signerOf(e: Environment, { home, caSecretsDir }: Pick<Config, 'home' | 'caSecretsDir'>): Config['signer'] {
  const { TOUCHMARK_PKCS11_MODULE: module, TOUCHMARK_PKCS11_TOKEN: token, TOUCHMARK_CA_KEYS: newKeys } = e;
  if ((module === undefined) !== (token === undefined) || (newKeys === 'pkcs11' && module === undefined)) {
    const member = module === undefined ? 'TOUCHMARK_PKCS11_MODULE' : 'TOUCHMARK_PKCS11_TOKEN';
    throw new AuthorityError('invalid', `${member} must be set too: a token is named by its module and its label`, {
      member,
    });
  }
  const pinFile = path.resolve(e.TOUCHMARK_PKCS11_PIN_FILE ?? path.join(caSecretsDir, 'pkcs11.pin'));
  const elsewhere = e.TOUCHMARK_SIGNER_SOCKET !== undefined;
  return {
    mode: e.TOUCHMARK_SIGNER === 'in-process' ? 'in-process' : elsewhere ? 'socket' : 'child',
    socket: path.resolve(e.TOUCHMARK_SIGNER_SOCKET ?? path.join(home, 'signer', 'signer.sock')),
    newKeys,
    pkcs11: module === undefined || token === undefined ? undefined : { module: path.resolve(module), token, pinFile },
  };
}

const base = (url: string | undefined): string | undefined => url?.replace(/\/+$/, '');

const list = (text: string): string[] =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');

function networks(text: string): string[] {
  const blocks = list(text);
  readNetworks(blocks, 'TOUCHMARK_WEBHOOK_NETWORKS');
  return blocks;
}

function dnsServers(text: string): string[] {
  const servers = list(text);
  const bad = servers.find((server) => {
    const [, bracketed, plain, at] = /^(?:\[([^\]]+)\]|([^\[\]]+?))(?::(\d{1,5}))?$/.exec(server) ?? [];
    return isIP(server) === 0 && (isIP(bracketed ?? plain ?? '') === 0 || Number(at ?? 53) > 65_535);
  });
  if (bad === undefined) return servers;
  throw new AuthorityError('invalid', `TOUCHMARK_DNS_SERVERS: "${bad}" is no IP address, with or without :port`, {
    member: 'TOUCHMARK_DNS_SERVERS',
  });
}

function mailOf(smtpUrl: string | undefined, from: string | undefined): Config['mail'] {
  if (smtpUrl === undefined) return undefined;
  if (from === undefined) {
    throw new AuthorityError('invalid', 'TOUCHMARK_MAIL_FROM must say who the mails of TOUCHMARK_SMTP_URL are from', {
      member: 'TOUCHMARK_MAIL_FROM',
    });
  }
  return { smtpUrl, from };
}

function planeUrls(e: Environment): Config['planeDatabaseUrls'] {
  return {
    api: e.TOUCHMARK_DB_API_URL,
    est: e.TOUCHMARK_DB_EST_URL,
    responder: e.TOUCHMARK_DB_RESPONDER_URL,
    worker: e.TOUCHMARK_DB_WORKER_URL,
    signer: e.TOUCHMARK_DB_SIGNER_URL,
    migrate: e.TOUCHMARK_DB_MIGRATE_URL,
  };
}

function canaryUrlsOf(e: Environment): Config['canaryUrls'] {
  return {
    api: base(e.TOUCHMARK_CANARY_API_URL),
    est: base(e.TOUCHMARK_CANARY_EST_URL),
    status: base(e.TOUCHMARK_CANARY_STATUS_URL),
  };
}

function lifetimesOf(e: Environment): Lifetimes {
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
    pendingEnrollment: e.TOUCHMARK_PENDING_ENROLLMENT_SECONDS,
    pendingRetry: e.TOUCHMARK_PENDING_RETRY_SECONDS,
    deviceCertificate: e.TOUCHMARK_DEVICE_CERTIFICATE_SECONDS,
    serverCertificate: e.TOUCHMARK_SERVER_CERTIFICATE_SECONDS,
    serverCertificateRenew: e.TOUCHMARK_SERVER_CERTIFICATE_RENEW_SECONDS,
    issuingCa: e.TOUCHMARK_ISSUING_CA_SECONDS,
    rootCa: e.TOUCHMARK_ROOT_CA_SECONDS,
    apiKeyMax: e.TOUCHMARK_API_KEY_MAX_SECONDS,
  };
}

function hostnames(text: string): string[] {
  const names = list(text);
  const bad = names.find((name) => !/^[A-Za-z0-9.:-]{1,253}$/.test(name));
  if (names.length === 0 || bad !== undefined) {
    const member = 'TOUCHMARK_HOSTNAMES';
    throw new AuthorityError('invalid', `${member}: "${bad ?? text}" is not a host name or IP address`, { member });
  }
  return names;
}
