import { pino, stdSerializers, type DestinationStream, type Logger, type LoggerOptions } from 'pino';
import { build as pretty } from 'pino-pretty';
import { redactCredentials } from '#credential';
import { isAuthorityError, systemClock } from '#kernel';

export type { Logger } from 'pino';

/** Members whose value never enters a log, whatever object they stand in. Compared without case, `-` and `_`. */
const SECRET_MEMBERS = new Set([
  ...['authorization', 'proxyauthorization', 'cookie', 'setcookie', 'body', 'rawbody', 'payload', 'csr'],
  ...['password', 'secret', 'token', 'key', 'privatekey', 'pepper', 'kek', 'verifier', 'root', 'connectionstring'],
]);
const DEPTH = 5;

/**
 * The process's logger. JSON lines in production and wherever standard output is no terminal, readable text in one. Of
 * requests only method, path and id are kept, of answers the status; credentials are redacted in every line written.
 */
export function createLogger(
  options: { level: string; production: boolean; terminal?: boolean },
  destination?: DestinationStream,
): Logger {
  const settings: LoggerOptions = {
    level: options.level,
    base: null,
    timestamp: () => `,"time":"${isoNow()}"`,
    serializers: { req: request, res: answer, err: failure, error: failure },
    formatters: { level: (label) => ({ level: label }), log: (entry) => withoutSecrets(entry) },
    hooks: { streamWrite: redactLine },
  };
  const readable = !options.production && (options.terminal ?? process.stdout.isTTY);
  if (!readable) return destination === undefined ? pino(settings) : pino(settings, destination);
  const stream = pretty({
    colorize: true,
    singleLine: true,
    translateTime: 'SYS:HH:MM:ss',
    ...(destination && { destination }),
    sync: true,
  });
  return pino(settings, stream);
}

function isoNow(): string {
  return systemClock.now().toISOString();
}

/** The query stays out: in RFC 9248 it carries the API key. */
function request(value: unknown): object {
  const { id, method, url, remoteAddress } = value as Record<string, unknown>;
  return { id, method, path: typeof url === 'string' ? url.split('?', 1)[0] : undefined, remoteAddress };
}

function answer(value: unknown): object {
  return { statusCode: (value as { statusCode?: unknown }).statusCode };
}

function failure(value: unknown): object {
  if (!(value instanceof Error)) return { message: String(value) };
  const { type, message, stack } = stdSerializers.err(value);
  const { code } = value as { code?: unknown };
  return { type, message, code, ...(isAuthorityError(value) ? { kind: value.kind, member: value.member } : {}), stack };
}

function withoutSecrets(entry: Record<string, unknown>): Record<string, unknown> {
  const kept: [string, unknown][] = [];
  for (const [name, value] of Object.entries(entry))
    kept.push([name, isSecret(name) ? '[redacted]' : scrub(value, DEPTH)]);
  return Object.fromEntries(kept);
}

function isSecret(name: string): boolean {
  return SECRET_MEMBERS.has(name.toLowerCase().replace(/[-_]/g, ''));
}

/** Plain objects and arrays only: what else there is, a serializer has to know. */
function scrub(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth === 0 || Buffer.isBuffer(value)) return '[omitted]';
  if (Array.isArray(value)) return value.map((item) => scrub(item, depth - 1));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  const entries = Object.entries(value).map(([name, item]) => [
    name,
    isSecret(name) ? '[redacted]' : scrub(item, depth - 1),
  ]);
  return Object.fromEntries(entries) as object;
}

/** Our own forms, and what HTTP and connection URLs look like: the net below the serializers. */
function redactLine(line: string): string {
  return redactCredentials(line)
    .replace(/\b(Bearer|Basic) +[\w.~+/=-]{8,}/gi, '$1 [redacted]')
    .replace(/\b([a-z][a-z0-9+.-]*:\/\/[^\s:/@"]*):[^\s/@"]+@/gi, '$1:[redacted]@');
}
