/**
 * Any of the text forms (`tmk1_`, the derived `tmkd1_`, `tmo1_`, `tme1_`, `tmi1_`) anywhere in a text, percent-encoded
 * underscores included. Wider than the form itself: a key that lost or gained characters still holds most of a secret.
 * Not global, so that `test` keeps no state between lines; to replace, use `redactCredentials`.
 */
export const CREDENTIAL_PATTERN =
  /(tm(?:k|kd|o|e|i)1(?:_|%5[Ff])(?:(?:live|test)(?:_|%5[Ff]))?[0-9A-Za-z]{1,24}(?:_|%5[Ff]))[0-9A-Za-z]{16,}/;

const EVERY_CREDENTIAL = new RegExp(CREDENTIAL_PATTERN, 'g');

/** Replaces the secret and its checksum by `[redacted]`; kind, environment and the public id stay. */
export function redactCredentials(text: string): string {
  return text.replace(EVERY_CREDENTIAL, '$1[redacted]');
}
