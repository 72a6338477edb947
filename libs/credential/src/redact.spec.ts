import { describe, expect, test } from '@jest/globals';
import { CREDENTIAL_PATTERN, redactCredentials } from './redact.js';
import { mintApiKey, mintEnrollmentSecret, mintOperatorToken } from './text.js';

describe('redaction', () => {
  const derived = mintApiKey('live').text.replace('tmk1_', 'tmkd1_');
  const all = [mintApiKey('live'), mintApiKey('test'), mintOperatorToken(), mintEnrollmentSecret()];

  test('each of the four forms loses its secret and keeps its public id, wherever it stands', () => {
    for (const { text, id } of [...all, { text: derived, id: derived.slice(11, 25) }]) {
      const secret = text.slice(text.lastIndexOf('_') + 1);
      for (const line of [text, `GET /rum/v1/RueConfig?apiKey="${text}"&instanceId=1`, `x%22${text}%22`, `a${text}b`]) {
        const redacted = redactCredentials(line);
        expect(redacted).not.toContain(secret);
        expect(redacted).not.toContain(secret.slice(0, 16));
        expect(redacted).toContain(`${id}_[redacted]`);
      }
    }
  });

  test('every one of several in a text is redacted', () => {
    const redacted = redactCredentials(all.map(({ text }) => text).join(','));
    expect(redacted.match(/\[redacted\]/g)).toHaveLength(4);
    expect(CREDENTIAL_PATTERN.test(redacted)).toBe(false);
  });

  test('a mistyped, cut or percent-encoded key is redacted as well', () => {
    const { text } = mintApiKey('live');
    const secret = text.slice(25);
    for (const line of [text.slice(0, -5), `${text}zz`, text.replaceAll('_', '%5F'), text.replaceAll('_', '%5f')]) {
      expect(redactCredentials(line)).not.toContain(secret.slice(0, 20));
    }
  });

  test('text without a credential is left as it is', () => {
    for (const text of ['', 'tmk1', 'tmk1_live_', `id ${all[0]?.id ?? ''}`, 'item1_abc_def', 'a'.repeat(100_000)]) {
      expect(redactCredentials(text)).toBe(text);
    }
  });

  test('the pattern keeps no state between uses', () => {
    const { text } = mintOperatorToken();
    expect([1, 2, 3].map(() => CREDENTIAL_PATTERN.test(text))).toEqual([true, true, true]);
  });
});
