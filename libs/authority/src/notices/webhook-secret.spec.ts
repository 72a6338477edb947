import { randomBytes } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import { isAuthorityError, systemClock } from '#kernel';
import {
  mintWebhookSecret,
  openWebhookSecret,
  sealWebhookSecret,
  signatureHeaders,
  signingSecrets,
} from './webhook-secret.js';

const a = { apiKek: randomBytes(32), plane: 'api' as const };
const owner = { id: '0197b2c4-0000-7000-8000-000000000001', organizationId: '0197b2c4-0000-7000-8000-00000000000a' };
const body = Buffer.from('{"data":{"id":"1"},"type":"key.issued"}');

test('a secret has 32 random bytes behind its prefix', () => {
  const { text, bytes } = mintWebhookSecret();
  expect(text).toBe(`whsec_${bytes.toString('base64')}`);
  expect(bytes).toHaveLength(32);
  expect(mintWebhookSecret().text).not.toBe(text);
});

describe('a signed notice', () => {
  const { text, bytes } = mintWebhookSecret();
  const at = systemClock.now();
  const headers = signatureHeaders([bytes], 'n1', at, body);

  test('is accepted by the Standard Webhooks library of others', () => {
    expect(new Webhook(text).verify(body, headers)).toEqual(JSON.parse(body.toString()));
  });

  test.each<[string, Record<string, string>, Buffer]>([
    ['another body', {}, Buffer.from(`${body.toString()} `)],
    ['another id', { 'webhook-id': 'n2' }, body],
    ['another time', { 'webhook-timestamp': String(Number(headers['webhook-timestamp']) + 1) }, body],
    ['another signature', { 'webhook-signature': `v1,${randomBytes(32).toString('base64')}` }, body],
  ])('is refused with %s', (_, change, sent) => {
    expect(() => new Webhook(text).verify(sent, { ...headers, ...change })).toThrow();
  });

  test('carries both signatures while a secret is replaced, and only the new one after', () => {
    const old = mintWebhookSecret();
    const row = {
      ...owner,
      sealedSecret: sealWebhookSecret(a, owner, bytes),
      sealedPrevious: sealWebhookSecret(a, owner, old.bytes),
      previousEndsAt: new Date(at.getTime() + 1),
    };
    const during = signatureHeaders(signingSecrets(a, row, at), 'n1', at, body);
    for (const secret of [text, old.text]) expect(new Webhook(secret).verify(body, during)).toBeDefined();
    const after = signatureHeaders(signingSecrets(a, row, row.previousEndsAt), 'n1', at, body);
    expect(new Webhook(text).verify(body, after)).toBeDefined();
    expect(() => new Webhook(old.text).verify(body, after)).toThrow();
  });
});

test('a sealed secret opens in its own row only, and under its own key', () => {
  const { bytes } = mintWebhookSecret();
  const sealed = sealWebhookSecret(a, owner, bytes);
  expect(openWebhookSecret(a, owner, sealed)).toEqual(bytes);
  const broken = (work: () => unknown): unknown => {
    try {
      return work();
    } catch (error) {
      return isAuthorityError(error) ? error.code : error;
    }
  };
  expect(broken(() => openWebhookSecret(a, { ...owner, id: 'other' }, sealed))).toBe('sealBroken');
  expect(broken(() => openWebhookSecret(a, { ...owner, organizationId: 'other' }, sealed))).toBe('sealBroken');
  expect(broken(() => openWebhookSecret({ ...a, apiKek: randomBytes(32) }, owner, sealed))).toBe('sealBroken');
});

test('a plane without the key opens nothing', () => {
  expect(() => openWebhookSecret({ apiKek: undefined, plane: 'est' }, owner, Buffer.alloc(60))).toThrow(/est plane/);
});
