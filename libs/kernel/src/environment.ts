import { z } from 'zod';
import { estEnvironment } from './est-settings.js';

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

const DAY = 86_400;
const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

/** Every setting as it stands in the environment: its form, and what it is where it is not given. */
export const environment = z.object({
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
  TOUCHMARK_PENDING_ENROLLMENT_SECONDS: seconds.default(7 * DAY),
  TOUCHMARK_PENDING_RETRY_SECONDS: integer(1, 3600, 'seconds').default(60),
  TOUCHMARK_DEVICE_CERTIFICATE_SECONDS: seconds.default(90 * DAY),
  TOUCHMARK_SERVER_CERTIFICATE_SECONDS: seconds.default(90 * DAY),
  TOUCHMARK_SERVER_CERTIFICATE_RENEW_SECONDS: seconds.default(30 * DAY),
  TOUCHMARK_ISSUING_CA_SECONDS: seconds.default(5 * 365 * DAY),
  TOUCHMARK_ROOT_CA_SECONDS: seconds.default(10 * 365 * DAY),
  TOUCHMARK_API_KEY_MAX_SECONDS: seconds.default(398 * DAY),
  TOUCHMARK_API_URL: z.url({ protocol: /^https$/, error: 'must be an https:// URL' }).optional(),
  TOUCHMARK_SINGLE_OPERATOR: z.enum(['true', 'false'], 'must be true or false').default('false'),
  TOUCHMARK_SESSION_SECONDS: seconds.default(8 * 3600),
  TOUCHMARK_INVITATION_SECONDS: seconds.default(3 * DAY),
  TOUCHMARK_TOKEN_MAX_SECONDS: seconds.default(398 * DAY),
  TOUCHMARK_AUDIT_WITNESSES: z.string().default(''),
  TOUCHMARK_AUDIT_SEAL_MS: integer(50, 1000, 'milliseconds').default(1000),
  TOUCHMARK_SMTP_URL: z.url({ protocol: /^smtps?$/, error: 'must be an smtp:// or smtps:// URL' }).optional(),
  TOUCHMARK_MAIL_FROM: z.email('must be an e-mail address').optional(),
  TOUCHMARK_WEBHOOK_NETWORKS: z.string().default(''),
  TOUCHMARK_DNS_SERVERS: z.string().default(''),
  TOUCHMARK_CANARY_SECONDS: integer(0, 86_400, 'seconds (0: off)').default(600),
  TOUCHMARK_CANARY_API_URL: z.url({ protocol: /^https$/, error: 'must be an https:// URL' }).optional(),
  TOUCHMARK_CANARY_EST_URL: z.url({ protocol: /^https$/, error: 'must be an https:// URL' }).optional(),
  TOUCHMARK_CANARY_STATUS_URL: z.url({ protocol: /^http$/, error: 'must be an http:// URL' }).optional(),
  TOUCHMARK_DELIVERY_LOG_DAYS: count.default(30),
  TOUCHMARK_QUOTA_REQUESTS_PER_MINUTE: count.default(60_000),
  TOUCHMARK_QUOTA_ISSUANCE_PER_MINUTE: count.default(60_000),
  ...estEnvironment,
  OTEL_EXPORTER_OTLP_ENDPOINT: z.url({ protocol: /^https?$/, error: 'must be an http(s):// URL' }).optional(),
  TOUCHMARK_SIGNER: z.enum(['in-process', 'process'], 'must be in-process or process').default('in-process'),
  TOUCHMARK_SIGNER_SOCKET: z.string().min(1).optional(),
  TOUCHMARK_CA_SECRETS_DIR: z.string().min(1).optional(),
  TOUCHMARK_CA_KEYS: z.enum(['sealed', 'pkcs11'], 'must be sealed or pkcs11').default('sealed'),
  TOUCHMARK_PKCS11_MODULE: z.string().min(1).optional(),
  TOUCHMARK_PKCS11_TOKEN: z.string().min(1).max(32, 'must be the label of a token, 32 characters at most').optional(),
  TOUCHMARK_PKCS11_PIN_FILE: z.string().min(1).optional(),
  TOUCHMARK_FAILED_AUTH_PER_ADDRESS: count.default(100),
  TOUCHMARK_FAILED_AUTH_PER_SECRET: count.default(5),
});

export type Environment = z.infer<typeof environment>;
