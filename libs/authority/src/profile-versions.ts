import { storedProfile, shippedProfile, type Profile } from '#policy';
import { checkRowMac, policyDocumentMac } from '#status';
import { findPolicyDocuments } from '#store';
import type { AuthorityContext } from './context.js';
import { findProfile } from './current-profile.js';
import { notFound } from './registry.js';

/**
 * A version of a profile, by which certificates may have been issued; also of one that is withdrawn. The shipped one is
 * version 1. Throws `notFound`; `internal` (code `rowMac`) for a row that this authority did not write.
 */
export async function profileVersion(a: AuthorityContext, name: string, version: number): Promise<Profile> {
  const current = findProfile(a, name);
  if (current?.version === version) return current;
  const shipped = shippedProfile(a.lifetimes, name);
  if (shipped?.version === version) return shipped;
  const rows = await a.database.transaction((tx) => findPolicyDocuments(tx, [{ kind: 'profile', name }]));
  const row = rows.find((one) => one.version === version);
  // Version 2 of a table that somebody wrote to is none of a profile that the log never named.
  if (row === undefined || version > (a.follower.index.document('profile', name)?.version ?? 0))
    throw notFound('profile');
  checkRowMac(row.mac, policyDocumentMac(a.macKey, row), `version ${version} of profile ${name}`);
  return storedProfile(JSON.parse(row.document.toString('utf8')), name, version, shipped);
}
