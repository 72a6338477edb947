import { timingSafeEqual, type KeyObject } from 'node:crypto';
import { rowMac, sealContext } from '#credential';
import { AuthorityError } from '#kernel';
import type {
  ApprovalRow,
  Device,
  DomainRow,
  DeviceIdentityRow,
  IntentRow,
  InvitationRow,
  KeyImport,
  KeyRow,
  NameUserRow,
  OperatorTokenRow,
  PasskeyRow,
  PersonRow,
  PolicyDocumentRow,
  TransportKeyRow,
} from '#store';

type KeyFacts = Pick<
  KeyRow,
  | 'id'
  | 'releaseId'
  | 'environment'
  | 'audience'
  | 'audienceValues'
  | 'predecessorId'
  | 'expiresAt'
  | 'ownerOrgId'
  | 'issuerOrgId'
> &
  Partial<Pick<KeyRow, 'enroll'>>;
type TokenFacts = Pick<
  OperatorTokenRow,
  'id' | 'organizationId' | 'name' | 'kind' | 'personId' | 'createdBy' | 'roles' | 'predecessorId' | 'expiresAt'
>;
type PersonFacts = Pick<PersonRow, 'id' | 'organizationId' | 'oidcIssuer' | 'oidcSubject'>;

function keyFields(row: KeyFacts): Record<string, string> {
  const fields = {
    id: row.id,
    releaseId: row.releaseId,
    environment: row.environment,
    audience: row.audience,
    audienceValues: row.audienceValues.join(','),
    predecessorId: row.predecessorId ?? '',
    expiresAt: row.expiresAt.toISOString(),
    ownerOrgId: row.ownerOrgId,
    issuerOrgId: row.issuerOrgId,
  };
  // Keys are older than this right: one without it has the fields alone.
  return row.enroll === true ? { ...fields, enroll: 'true' } : fields;
}

function tokenFields(row: TokenFacts): Record<string, string> {
  const fields = {
    id: row.id,
    organizationId: row.organizationId,
    name: row.name,
    expiresAt: row.expiresAt?.toISOString() ?? '',
  };
  // Bootstrap tokens are older than kinds and roles, and have neither: a token of another kind never has these fields alone.
  if (row.kind === 'bootstrap') return fields;
  return {
    ...fields,
    kind: row.kind,
    personId: row.personId ?? '',
    createdBy: row.createdBy ?? '',
    roles: row.roles.join(','),
    predecessorId: row.predecessorId ?? '',
  };
}

/** Under what a key's verifier and derivation root are sealed: they open in no other row. */
export const keySealContext = (row: KeyFacts): Buffer => sealContext('api-key', keyFields(row));
export const tokenSealContext = (row: TokenFacts): Buffer => sealContext('operator-token', tokenFields(row));

/** Covers what is fixed about a key, the audience included, under secrets/status.mac. */
export const keyRowMac = (macKey: KeyObject, row: KeyFacts): Buffer => rowMac(macKey, 'keys', keyFields(row));
export const tokenRowMac = (macKey: KeyObject, row: TokenFacts): Buffer =>
  rowMac(macKey, 'operator_tokens', tokenFields(row));

/** Covers who a person is: that a name at an identity provider is this person of this organization. */
export const personRowMac = (macKey: KeyObject, row: PersonFacts): Buffer =>
  rowMac(macKey, 'people', {
    id: row.id,
    organizationId: row.organizationId,
    oidcIssuer: row.oidcIssuer ?? '',
    oidcSubject: row.oidcSubject ?? '',
  });

type InvitationFacts = Pick<InvitationRow, 'id' | 'personId' | 'organizationId' | 'expiresAt'>;

const invitationFields = (row: InvitationFacts): Record<string, string> => ({
  id: row.id,
  personId: row.personId,
  organizationId: row.organizationId,
  expiresAt: row.expiresAt.toISOString(),
});

/** Under what an invitation's verifier is sealed: for this person, until then. */
export const invitationSealContext = (row: InvitationFacts): Buffer => sealContext('invitation', invitationFields(row));
/** `access`: made by two people, for somebody who had access then; the row itself does not tell. */
export const invitationRowMac = (macKey: KeyObject, row: InvitationFacts, access: boolean): Buffer =>
  rowMac(macKey, 'invitations', { ...invitationFields(row), access: String(access) });

/** Covers whose passkey it is and by which key it is recognized; the counter changes with each use and is not covered. */
export const passkeyRowMac = (
  macKey: KeyObject,
  row: Pick<PasskeyRow, 'id' | 'personId' | 'organizationId' | 'publicKey'>,
): Buffer =>
  rowMac(macKey, 'passkeys', {
    id: row.id,
    personId: row.personId,
    organizationId: row.organizationId,
    publicKey: row.publicKey.toString('base64'),
  });

type IntentFacts = Pick<
  IntentRow,
  'serial' | 'issuerId' | 'tbs' | 'profile' | 'profileVersion' | 'deviceId' | 'requester' | 'published'
>;

/** Covers what an intent asks to be signed, for whom: SQL write access alone does not make the signer sign. */
export const intentRowMac = (macKey: KeyObject, row: IntentFacts): Buffer =>
  rowMac(macKey, 'certificates', {
    serial: row.serial.toString('hex'),
    issuerId: row.issuerId,
    tbs: row.tbs.toString('base64'),
    profile: row.profile,
    profileVersion: String(row.profileVersion),
    deviceId: row.deviceId ?? '',
    requester: row.requester,
    // Rows older than the distinction have a MAC without it.
    ...(row.published ? {} : { published: 'false' }),
  });

/** Covers a proposal as it was made: what is executed is what was proposed. */
export const approvalRowMac = (macKey: KeyObject, row: Pick<ApprovalRow, 'id' | 'proposal'>): Buffer =>
  rowMac(macKey, 'approvals', { id: row.id, proposal: row.proposal.toString('base64') });

/** Covers what a document says, and by which approval it does. */
export const policyDocumentMac = (macKey: KeyObject, row: Omit<PolicyDocumentRow, 'mac'>): Buffer =>
  rowMac(macKey, 'policy_documents', {
    kind: row.kind,
    name: row.name,
    version: String(row.version),
    document: row.document.toString('base64'),
    approvalId: row.approvalId,
  });

/** Covers a list of blocked keys as it was imported: none of them is taken out unseen. */
export const keyImportRowMac = (macKey: KeyObject, row: Omit<KeyImport, 'mac'>): Buffer =>
  rowMac(macKey, 'blocked_key_imports', {
    id: row.id,
    reason: row.reason,
    actor: row.actor,
    added: String(row.added),
    digest: row.digest.toString('hex'),
    createdAt: row.createdAt.toISOString(),
  });

export const transportKeyMac = (macKey: KeyObject, row: Omit<TransportKeyRow, 'mac' | 'createdAt'>): Buffer =>
  rowMac(macKey, 'device_transport_keys', {
    deviceId: row.deviceId,
    keyIdentifier: row.keyIdentifier.toString('hex'),
    bits: String(row.bits),
    sealed: row.sealed.toString('base64'),
    ownerOrgId: row.ownerOrgId,
    issuerOrgId: row.issuerOrgId,
  });

/** Covers whose claim of which domain it is. Whether it holds is in the log. */
export const domainRowMac = (macKey: KeyObject, row: Pick<DomainRow, 'id' | 'name' | 'organizationId'>): Buffer =>
  rowMac(macKey, 'domains', { id: row.id, name: row.name, organizationId: row.organizationId });

/** Covers who has which address, in whose domain, and what names it may be. */
export const nameUserRowMac = (macKey: KeyObject, row: Omit<NameUserRow, 'mac' | 'createdAt'>): Buffer =>
  rowMac(macKey, 'name_users', {
    id: row.id,
    address: row.address,
    types: row.types.join(','),
    domainId: row.domainId,
    organizationId: row.organizationId,
  });

type DeviceFacts = Pick<
  Device,
  'id' | 'instanceId' | 'appId' | 'profile' | 'names' | 'nameHolders' | 'ownerOrgId' | 'issuerOrgId' | 'boundAt'
>;

/** Covers what a certificate says of a device, and what its names rest on; not group and release, which change. */
export const deviceRowMac = (macKey: KeyObject, row: DeviceFacts): Buffer =>
  rowMac(macKey, 'devices', {
    id: row.id,
    instanceId: row.instanceId,
    appId: row.appId,
    profile: row.profile,
    names: JSON.stringify(row.names),
    nameHolders: row.nameHolders.join(','),
    ownerOrgId: row.ownerOrgId,
    issuerOrgId: row.issuerOrgId,
    boundAt: row.boundAt?.toISOString() ?? '',
  });

/** Covers that whoever proves this is that device. */
export const deviceIdentityMac = (
  macKey: KeyObject,
  row: Pick<DeviceIdentityRow, 'id' | 'deviceId' | 'kind' | 'anchors' | 'value'>,
): Buffer =>
  rowMac(macKey, 'device_identities', {
    id: row.id,
    deviceId: row.deviceId,
    kind: row.kind,
    anchors: row.anchors,
    value: row.value,
  });

/** Throws `internal` (code `rowMac`) for a row that somebody without the key wrote or changed. */
export function checkRowMac(stored: Buffer, computed: Buffer, what: string): void {
  if (stored.length !== computed.length || !timingSafeEqual(stored, computed)) {
    throw new AuthorityError('internal', `${what} was not written by this authority`, { code: 'rowMac' });
  }
}
