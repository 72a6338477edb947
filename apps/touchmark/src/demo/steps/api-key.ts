import { expectThat, type Telling } from '../narrator.js';
import { member, NODE_HTTP, until, type Release, type Workbench } from '../workbench.js';

interface Key {
  id: string;
  key: string;
}

const DAY = 86_400;

/** What a provider learns about a key: `active`, `retiring`, or `inactive`. */
async function introspect({ api }: Workbench, { key }: Key): Promise<string> {
  const answer = (await api.postForm('/v1/introspect', { token: key })) as { active: boolean; status?: string };
  return answer.active ? (answer.status ?? 'no status') : 'inactive';
}

async function expectStatus(workbench: Workbench, key: Key, status: string): Promise<void> {
  const found = await introspect(workbench, key);
  expectThat(found === status, `key ${key.id} is ${found} instead of ${status}`);
}

export async function issueKey(workbench: Workbench, release: Release, { fact, verified }: Telling): Promise<Key> {
  const body = { releaseId: release.releaseId, audience: 'all', environment: 'live' };
  const issued = await workbench.api.post('/v1/keys', body);
  const key = { id: member(issued, 'id'), key: member(issued, 'key') };
  fact(`key ${key.id}; the secret in it is shown once: ${key.key.slice(0, 16)}...`);
  await expectStatus(workbench, key, 'active');
  verified('introspection (RFC 7662) says active', NODE_HTTP);
  const altered = { id: key.id, key: `${key.key.slice(0, -1)}${key.key.endsWith('0') ? '1' : '0'}` };
  await expectStatus(workbench, altered, 'inactive');
  verified('the same key with its last character changed is inactive', NODE_HTTP);
  return key;
}

export async function rotateKey(workbench: Workbench, old: Key, { fact, verified }: Telling): Promise<Key> {
  const rotated = await workbench.api.post(`/v1/keys/${old.id}/rotate`, { overlapSeconds: DAY });
  const successor = { id: member(rotated, 'id'), key: member(rotated, 'key') };
  fact(`successor ${successor.id}; the old key goes on for a day`);
  await expectStatus(workbench, old, 'retiring');
  await expectStatus(workbench, successor, 'active');
  verified('the old key is retiring, the new one active: both are accepted', NODE_HTTP);
  return successor;
}

export async function revokeKey(
  workbench: Workbench,
  old: Key,
  successor: Key,
  { fact, verified }: Telling,
): Promise<void> {
  const since = workbench.clock.monotonicMs();
  const receipt = await workbench.api.post(`/v1/keys/${old.id}/revoke`, { reason: 'superseded' });
  fact(`receipt: change ${member(receipt, 'seq')}, visible by ${member(receipt, 'visibleBy.introspection')}`);
  const inactive = async () => (await introspect(workbench, old)) === 'inactive';
  const ms = await until(workbench.clock, since, 1000, 'introspection says inactive', inactive);
  verified(`introspection says inactive ${ms} ms after the request to revoke was sent`, NODE_HTTP);
  await expectStatus(workbench, successor, 'active');
  verified('its successor stays active', NODE_HTTP);
}
