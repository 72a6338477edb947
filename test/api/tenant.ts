import { randomUUID } from 'node:crypto';
import {
  approve,
  createDeviceGroup,
  createMailSubscription,
  createOrganization,
  createPerson,
  createUser,
  createWebhook,
  issueKey,
  propose,
  type Actor,
} from '#authority';
import { mintApiKey, mintOperatorToken } from '#credential';
import { readCertificate } from '#pki';
import type { TestDatabase } from '../harness/database.js';
import { makeEnrolled, makeProduct } from '../harness/fixtures.js';
import { makeAnchors, makeManufacturer } from '../harness/manufacturer.js';
import { makeMachine, makePerson, plantPasskey } from '../harness/people.js';

/** Paths of what no organization owns. */
export const SHARED = /^\/v1\/(blocked-keys|issuers|profiles|est-labels|sign-in)|^\/(sign-in|tlog|docs)/;

/** One of each thing that somebody can own, in organizations of one tenant. */
export interface Tenant {
  testing: string;
  provider: string;
  vendor: string;
  /** By path: an id of this tenant, and one that nobody has. */
  ids: Readonly<Record<string, { own: string; absent: string }>>;
  /** Creations that name something by id: the body for an id, and the tenant's own. */
  references: Readonly<Record<string, (id: string) => Record<string, unknown>>>;
  referenced: Readonly<Record<string, string>>;
}

/** What a route needs besides the id, so that the look-up is what it fails at. */
export const BODIES: Readonly<Record<string, unknown>> = {
  'PUT /v1/organizations/:id/quotas': { requestsPerMinute: null, issuancePerMinute: 600 },
  'POST /v1/apps/:id/releases': { version: '9.9.9' },
  'PATCH /v1/devices/:id': { groupId: null },
  'POST /v1/devices/:id/dry-run': { keyType: 'ec-p256' },
  'PUT /v1/devices/:id/transport-keys/:keyIdentifier': { key: Buffer.alloc(16).toString('base64') },
  'POST /v1/devices/:id/fingerprints': { of: 'key', sha256: 'ab'.repeat(32) },
  'POST /v1/devices/:id/reset': {},
  'POST /v1/devices/:id/allow-late-renewal': { days: 1 },
  'POST /v1/devices/:id/suspend': {},
  'POST /v1/devices/:id/resume': {},
  'POST /v1/devices/:id/revoke': { reason: 'keyCompromise' },
  'POST /v1/devices/:id/revoke-obtained': { since: '2026-01-01T00:00:00Z', reason: 'privilegeWithdrawn' },
  'POST /v1/domains/:id/verify': {},
  'POST /v1/domains/:id/disable': {},
  'POST /v1/domains/:id/enable': {},
  'POST /v1/users/:id/disable': {},
  'POST /v1/users/:id/enable': {},
  'POST /v1/device-groups/:id/renew-now': { reason: 'drill' },
  'POST /v1/device-groups/:id/suspend': {},
  'POST /v1/device-groups/:id/resume': {},
  'POST /v1/device-groups/:id/revoke': { reason: 'superseded' },
  'POST /v1/approvals/:id/approve': {},
  'POST /v1/approvals/:id/reject': {},
  'POST /v1/approvals/:id/withdraw': {},
  'POST /v1/people/:id/roles': { roles: ['auditor'] },
  'POST /v1/certificates/:serial/revoke': { reason: 'keyCompromise' },
  'POST /v1/certificates/:serial/release': {},
  'POST /v1/people/:id/invitations': {},
  'POST /v1/tokens/:id/rotate': { overlapSeconds: 60 },
  'POST /v1/tokens/:id/revoke': {},
  'POST /v1/keys/:id/rotate': { overlapSeconds: 60 },
  'POST /v1/keys/:id/suspend': {},
  'POST /v1/keys/:id/resume': {},
  'POST /v1/keys/:id/revoke': { reason: 'keyCompromise' },
  'PATCH /v1/webhooks/:id': { state: 'disabled' },
  'PATCH /v1/mail-subscriptions/:id': { digest: 'hourly' },
};

export async function makeTenant(db: TestDatabase): Promise<Tenant> {
  const api = await db.context('api');
  const organization = async (kind: 'testing' | 'provider' | 'vendor') =>
    (await createOrganization(api, db.operator, { name: `A ${kind}`, kind, country: 'CH' })).id;
  const [testing, provider] = [await organization('testing'), await organization('provider')];
  // Made by the authority for this testing organization: who vouches is the organization of the actor.
  const officer: Actor = { ...db.operator, organizationId: testing };
  const product = await makeProduct(api, officer);
  const group = await createDeviceGroup(api, officer, { name: 'Cameras', vendorId: product.vendorId });
  const { device, certificate } = await makeEnrolled(db, product);
  const { row: key } = await issueKey(api, officer, {
    releaseId: product.releaseId,
    audience: 'all',
    environment: 'live',
  });
  const person = await createPerson(api, officer, { name: 'Somebody' });
  const machine = await makeMachine(db, { ...officer, personId: person.id }, ['officer']);
  const passkeyId = await plantPasskey(db, person.id, testing);
  const proposer = await makePerson(db, ['officer'], testing);
  const proposed = await propose(api, proposer, 'group.revoke', { groupId: group.id, reason: 'superseded' });
  const { webhook } = await createWebhook(api, officer, {
    url: new URL('https://hook.example/'),
    description: '',
    events: ['*'],
  });
  const subscription = await createMailSubscription(api, officer, {
    address: 'ops@vendor.example',
    events: ['*'],
    digest: 'daily',
  });
  const granter = await makePerson(db, ['officer']);
  const named = await propose(api, granter, 'domain.grant', { organizationId: testing, name: `${testing}.example` });
  const { result } = await approve(api, await makePerson(db, ['approver']), named.approvalId, {});
  const domainId = String(result['domainId']);
  const user = await createUser(api, officer, { address: `somebody@${testing}.example` });
  const anchors = await makeAnchors(db, product, { certificates: [(await makeManufacturer()).rootPem] });
  const uuid = (own: string) => ({ own, absent: randomUUID() });
  return {
    testing,
    provider,
    vendor: product.vendorId,
    ids: {
      // Not the vendor: vendors and providers are a register that testing organizations see.
      '/v1/organizations': uuid(testing),
      '/v1/apps': uuid(product.appId),
      '/v1/devices': uuid(device.id),
      '/v1/trust-anchors': { own: anchors, absent: 'nobody' },
      '/v1/device-groups': uuid(group.id),
      '/v1/domains': uuid(domainId),
      '/v1/users': uuid(user.id),
      '/v1/people': uuid(person.id),
      '/v1/passkeys': { own: passkeyId, absent: randomUUID() },
      '/v1/tokens': { own: machine.tokenId, absent: mintOperatorToken().id },
      '/v1/approvals': uuid(proposed.approvalId),
      '/v1/keys': { own: key.id, absent: mintApiKey('live').id },
      '/v1/certificates': {
        own: readCertificate(certificate).serial,
        absent: `01${randomUUID().replaceAll('-', '')}`,
      },
      '/v1/webhooks': uuid(webhook.id),
      '/v1/mail-subscriptions': uuid(subscription.id),
    },
    references: {
      'POST /v1/apps': (vendorId) => ({ name: 'x', vendorId }),
      'POST /v1/devices': (appId) => ({ appId }),
      'POST /v1/device-groups': (vendorId) => ({ name: 'x', vendorId }),
      'POST /v1/domains': (organizationId) => ({ name: 'other.example', organizationId }),
      'POST /v1/people': (organizationId) => ({ name: 'x', organizationId }),
      'POST /v1/tokens': (organizationId) => ({ name: 'x', kind: 'machine', roles: ['officer'], organizationId }),
      'POST /v1/keys': (releaseId) => ({ releaseId, audience: 'all', environment: 'live' }),
    },
    referenced: {
      'POST /v1/apps': testing,
      'POST /v1/devices': product.appId,
      'POST /v1/device-groups': testing,
      'POST /v1/domains': testing,
      'POST /v1/people': testing,
      'POST /v1/tokens': testing,
      'POST /v1/keys': product.releaseId,
    },
  };
}
