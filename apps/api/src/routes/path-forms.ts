import type { PipeTransform } from '@nestjs/common';
import { parseSerial } from '#authority';
import { AuthorityError } from '#kernel';
import { isId } from '#store';
import { isKeyId } from '../schema/keys.js';
import { isTransportKeyId } from '../schema/transport-keys.js';

/** A path parameter that can be nobody's id answers exactly as an unknown one: 404. */
class PathForm implements PipeTransform<string, string> {
  constructor(
    private readonly what: string,
    private readonly possible: (value: string) => boolean,
  ) {}

  transform(value: string): string {
    if (!this.possible(value)) throw absent(this.what);
    return value;
  }
}

export const absent = (what: string): AuthorityError => new AuthorityError('notFound', `no such ${what}`);

/** The row, or the one answer for an absent and a foreign one. */
export function found<T>(row: T | undefined, what: string): T {
  if (row === undefined) throw absent(what);
  return row;
}

export const organizationId = new PathForm('organization', isId);
export const appId = new PathForm('app', isId);
export const releaseId = new PathForm('release', isId);
export const groupId = new PathForm('device group', isId);
export const transportKeyId = new PathForm('transport key', isTransportKeyId);
export const deviceId = new PathForm('device', isId);
export const approvalId = new PathForm('approval', isId);
export const personId = new PathForm('person', isId);
export const keyId = new PathForm('key', isKeyId);
export const issuerId = new PathForm('issuer', isId);
export const tokenId = new PathForm('token', isKeyId);
export const passkeyId = new PathForm('passkey', (value) => /^[A-Za-z0-9_-]{1,1000}$/.test(value));
export const webhookId = new PathForm('webhook', isId);
export const deliveryId = new PathForm('delivery', isId);
export const subscriptionId = new PathForm('mail subscription', isId);
export const keyImportId = new PathForm('import of blocked keys', isId);
export const domainId = new PathForm('domain', isId);
export const userId = new PathForm('user', isId);
export const serialNumber = new PathForm('certificate', (value) => parseSerial(value) !== undefined);
