import { expectThat, type Telling } from '../narrator.js';
import { NODE_HTTP, type DeviceAccount, type Workbench } from '../workbench.js';

interface Event {
  action: string;
  subject: string;
  outcome: string;
  actor: string;
}

const EXPECTED = [
  'success organization.created',
  'success key.issued',
  'success key.rotated',
  'success key.revoked',
  'success device.registered',
  'success certificate.requested',
  'success certificate.issued',
  'refused certificate.requested',
  'success certificate.revoked',
];

/** Everything that was done above, refusals too, and no secret in any of it. */
export async function readAudit(
  { api }: Workbench,
  account: DeviceAccount,
  key: string,
  { fact, verified }: Telling,
): Promise<void> {
  const { items } = (await api.get('/v1/audit/events', { limit: '200' })) as { items: Event[] };
  for (const { outcome, action, subject, actor } of items.slice(0, 12))
    fact(`${outcome} ${action} ${subject} by ${actor}`);
  if (items.length > 12) fact(`and ${items.length - 12} more`);
  const found = new Set(items.map(({ outcome, action }) => `${outcome} ${action}`));
  const missing = EXPECTED.filter((entry) => !found.has(entry));
  expectThat(missing.length === 0, `the audit trail lacks ${missing.join(', ')}`);
  verified(`${items.length} entries; every step above stands in them, the refused ones too`, NODE_HTTP);
  const text = JSON.stringify(items);
  expectThat(!text.includes(account.secret) && !text.includes(key), 'the audit trail holds a secret');
  verified('neither the one-time secret nor an API key is in them', NODE_HTTP);
}
