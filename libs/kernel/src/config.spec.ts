import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { loadConfig } from './config.js';
import { AuthorityError } from './errors.js';

function refusal(env: Record<string, string>): AuthorityError {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof AuthorityError) return error;
    throw error;
  }
  throw new Error(`accepted: ${JSON.stringify(env)}`);
}

describe('an empty environment gives the documented defaults', () => {
  const config = loadConfig({});

  test('addresses, ports and directories', () => {
    expect(config).toMatchObject({
      home: path.resolve('var'),
      secretsDir: path.resolve('var/secrets'),
      databaseUrl: undefined,
      redisUrl: undefined,
      host: '127.0.0.1',
      ports: { est: 8443, api: 8444, status: 8080, metrics: undefined },
      statusUrl: undefined,
      hostnames: ['localhost', '127.0.0.1'],
      logLevel: 'info',
      failedAuth: { perAddressPerMinute: 100, perSecretPerMinute: 5 },
    });
  });

  test('lifetimes', () => {
    const hour = 3600;
    const day = 24 * hour;
    expect(config.lifetimes).toEqual({
      crlNextUpdate: 7 * day,
      crlRebuild: hour,
      crlDebounceMs: 500,
      rootCrlNextUpdate: 30 * day,
      ocspNextUpdate: 48 * hour,
      ocspRenew: 12 * hour,
      ocspMaxAge: 60,
      ocspMaxAgeRevoked: hour,
      ocspDelegate: 30 * day,
      ocspDelegateRenew: 10 * day,
      followerPollMs: 250,
      enrollmentSecret: 7 * day,
      pendingEnrollment: 7 * day,
      pendingRetry: 60,
      deviceCertificate: 90 * day,
      serverCertificate: 90 * day,
      serverCertificateRenew: 30 * day,
      issuingCa: 5 * 365 * day,
      rootCa: 10 * 365 * day,
      apiKeyMax: 398 * day,
    });
  });
});

describe('a wrong value stops with one line that names the variable and what it must be', () => {
  const wrong: [string, string[], RegExp][] = [
    [
      'TOUCHMARK_EST_PORT',
      ['abc', '-1', '65536', '80.5', '1e3', '0x50', ' 80', ' '],
      /must be a port, a whole number from 0 to 65535$/,
    ],
    ['TOUCHMARK_API_PORT', ['99999'], /a port/],
    ['TOUCHMARK_STATUS_PORT', ['http'], /a port/],
    ['TOUCHMARK_METRICS_PORT', ['none'], /a port/],
    ['DATABASE_URL', ['localhost', 'mysql://u@h/d', 'http://h'], /must be a postgres:\/\/ URL$/],
    ['TOUCHMARK_DB_API_URL', ['mysql://u@h/d'], /must be a postgres:\/\/ URL$/],
    ['TOUCHMARK_DB_MIGRATE_URL', ['x'], /must be a postgres:\/\/ URL$/],
    ['REDIS_URL', ['localhost:6379', 'http://h'], /must be a redis:\/\//],
    ['TOUCHMARK_STATUS_URL', ['https://status.example', 'status.example'], /must be an http:\/\/ URL$/],
    ['TOUCHMARK_HOSTNAMES', ['a b', ',', 'ok,under_score', 'http://h/'], /is not a host name or IP address$/],
    [
      'TOUCHMARK_DNS_SERVERS',
      ['dns.example', '192.0.2.1:99999', '[2001:db8::1'],
      /is no IP address, with or without :port$/,
    ],
    ['LOG_LEVEL', ['verbose', 'INFO'], /must be one of fatal, error, warn, info, debug, trace, silent$/],
    [
      'TOUCHMARK_CRL_NEXT_UPDATE_SECONDS',
      ['0', '-5', '7d', '1.5', '3153600001', '99999999999999'],
      /must be seconds, a whole number from 1 to/,
    ],
    ['TOUCHMARK_CRL_DEBOUNCE_MS', ['60001', 'x'], /must be milliseconds, a whole number from 0 to 60000$/],
    ['TOUCHMARK_FOLLOWER_POLL_MS', ['9', '5001'], /must be milliseconds, a whole number from 10 to 5000$/],
    ['TOUCHMARK_FAILED_AUTH_PER_ADDRESS', ['0', 'many'], /must be a count/],
    ['TOUCHMARK_FAILED_AUTH_PER_SECRET', ['0'], /must be a count/],
  ];
  test.each(wrong.flatMap(([name, values, text]) => values.map((value) => [name, value, text] as const)))(
    '%s=%j',
    (name, value, text) => {
      const error = refusal({ [name]: value });
      expect(error.kind).toBe('invalid');
      expect(error.member).toBe(name);
      expect(error.detail).toMatch(text);
      expect(error.detail.startsWith(name)).toBe(true);
      expect(error.detail).not.toContain('\n');
    },
  );

  test('the value is shown, except where it may hold a password', () => {
    expect(refusal({ TOUCHMARK_EST_PORT: 'abc' }).detail).toContain('"abc"');
    expect(refusal({ DATABASE_URL: 'mysql://u:hunter2@h/d' }).detail).not.toContain('hunter2');
    expect(refusal({ REDIS_URL: 'http://:hunter2@h' }).detail).not.toContain('hunter2');
  });
});

describe('lifetimes under which something would end before it is renewed stop the start', () => {
  const pairs: [string, string, string, string][] = [
    ['TOUCHMARK_CRL_REBUILD_SECONDS', '604800', 'TOUCHMARK_CRL_NEXT_UPDATE_SECONDS', '604800'],
    ['TOUCHMARK_OCSP_RENEW_SECONDS', '172801', 'TOUCHMARK_OCSP_NEXT_UPDATE_SECONDS', '172800'],
    ['TOUCHMARK_OCSP_MAX_AGE_SECONDS', '43200', 'TOUCHMARK_OCSP_RENEW_SECONDS', '43200'],
    ['TOUCHMARK_OCSP_MAX_AGE_REVOKED_SECONDS', '43200', 'TOUCHMARK_OCSP_RENEW_SECONDS', '43200'],
    ['TOUCHMARK_OCSP_NEXT_UPDATE_SECONDS', '864000', 'TOUCHMARK_OCSP_DELEGATE_RENEW_SECONDS', '864000'],
    ['TOUCHMARK_OCSP_DELEGATE_RENEW_SECONDS', '2592000', 'TOUCHMARK_OCSP_DELEGATE_SECONDS', '2592000'],
    ['TOUCHMARK_SERVER_CERTIFICATE_RENEW_SECONDS', '7776000', 'TOUCHMARK_SERVER_CERTIFICATE_SECONDS', '7776000'],
    ['TOUCHMARK_DEVICE_CERTIFICATE_SECONDS', '157680000', 'TOUCHMARK_ISSUING_CA_SECONDS', '157680000'],
    ['TOUCHMARK_ISSUING_CA_SECONDS', '315360000', 'TOUCHMARK_ROOT_CA_SECONDS', '315360000'],
  ];
  test.each(pairs)('%s=%s against %s=%s', (small, smallValue, large, largeValue) => {
    const error = refusal({ [small]: smallValue, [large]: largeValue });
    expect(error.kind).toBe('invalid');
    expect(error.detail).toBe(`${small} (${smallValue}) must be smaller than ${large} (${largeValue})`);
    expect(() => loadConfig({ [small]: String(Number(largeValue) - 1), [large]: largeValue })).not.toThrow();
  });
});

test('name servers are addresses, with or without port', () => {
  const servers = ['192.0.2.1', '192.0.2.1:5353', '2001:db8::1', '[2001:db8::1]:53'];
  expect(loadConfig({ TOUCHMARK_DNS_SERVERS: servers.join(', ') }).dns.servers).toEqual(servers);
});

test('an empty variable counts as not set', () => {
  expect(loadConfig({ TOUCHMARK_EST_PORT: '', DATABASE_URL: '' })).toMatchObject({
    ports: { est: 8443 },
    databaseUrl: undefined,
  });
});

test('the base URL of the status plane is kept without a slash at its end, since it is written into certificates', () => {
  expect(loadConfig({ TOUCHMARK_STATUS_URL: 'http://status.example//' }).statusUrl).toBe('http://status.example');
});
