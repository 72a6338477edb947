import { AuthorityError } from '#kernel';
import { announcedIssuers, knownIssuer, mainRoot } from '#status';
import { listIssuers, newId, type CertificateRow, type IssuerKind, type IssuerRow, type Tx } from '#store';
import { announceIssuer, issuerChange } from './announce-issuer.js';
import { logStatus } from './change-status.js';
import { systemActor, type AuthorityContext } from './context.js';
import { inHierarchy, serverRoot, type Issuer } from './hierarchy.js';
import { finishIntent, signedForm } from './issue.js';
import {
  caCreatedAudit,
  caSubject,
  findOwnIntents,
  ownIssuer,
  prepareCa,
  recordCa,
  type CaContext,
} from './prepare-ca.js';

type FirstKind = Exclude<IssuerKind, 'intermediate'>;

/**
 * Makes root and issuing CA where they are missing, each by the same way as any certificate: intent, lint, sign, store,
 * announce. Started again after a crash it goes on where it was. `statusUrl` is fixed into the certificates. Throws
 * `internal` (code `issuersAltered`) where a CA that was announced is not there as it was.
 */
export async function ensureHierarchy(a: CaContext, statusUrl: string): Promise<void> {
  const root = await ensureCa(a, 'root', undefined, statusUrl);
  await ensureCa(a, 'issuing', root, statusUrl);
}

async function ensureCa(a: CaContext, kind: FirstKind, parent: Issuer | undefined, statusUrl: string): Promise<Issuer> {
  const { announced, unannounced } = await a.database.transaction((tx) => readIssuers(tx, a));
  const present = kind === 'root' ? mainRoot(announced) : announced.find((one) => one.kind === kind);
  if (present) return present;
  const own = await firstOwn(a, kind, unannounced);
  const { row, certificate } = own ?? (await makeCa(a, kind, parent, statusUrl));
  const announcement = { id: row.id, certificate, termsBytes: row.terms };
  const seq = await announceIssuer(a, systemActor(a, 'init'), { ...announcement, status: 'active' });
  await a.follower?.catchUp(seq ?? 0);
  a.log.info({ issuer: row.id, kind }, 'CA announced');
  const made = knownIssuer({ ...row, certificate }, { ...issuerChange(announcement, 'active', a.clock.now()), seq: 0 });
  if (!made) throw new AuthorityError('internal', 'a CA was made that is not known');
  return { ...made, above: parent ? [parent] : [] };
}

async function readIssuers(
  tx: Tx,
  a: Pick<CaContext, 'macKey'>,
): Promise<{ announced: Issuer[]; unannounced: IssuerRow[] }> {
  const log = await announcedIssuers(tx, a.macKey);
  const rows = await listIssuers(tx);
  const announced = rows.flatMap((row) => knownIssuer(row, log.get(row.id)) ?? []);
  if (announced.length < log.size) {
    throw new AuthorityError('internal', 'a CA that was announced is gone, or is not what it was: restore a backup', {
      code: 'issuersAltered',
    });
  }
  return { announced: inHierarchy(announced), unannounced: rows.filter((row) => !log.has(row.id)) };
}

interface MadeCa {
  row: IssuerRow;
  certificate: Buffer;
}

/** Of rows that nobody announced (an older release, a crash) the first that this authority wrote; others were planted. */
async function firstOwn(a: CaContext, kind: FirstKind, rows: IssuerRow[]): Promise<MadeCa | undefined> {
  for (const row of rows.filter((one) => one.kind === kind)) {
    const intents = await findOwnIntents(a, systemActor(a, 'init'), row);
    const signed = intents.find((one) => row.certificate !== null && one.der?.equals(row.certificate));
    if (signed) return { row, certificate: await finish(a, row, signed) };
    const [begun] = intents;
    if (begun && row.certificate === null) return { row, certificate: await finish(a, row, begun) };
    a.log.error({ issuer: row.id }, 'ALARM: a CA that this authority did not make; passed over');
  }
  return undefined;
}

async function finish(a: CaContext, row: IssuerRow, begun: CertificateRow): Promise<Buffer> {
  const issuer = row.kind === 'root' ? ownIssuer(row) : await readRoot(a);
  if (begun.der !== null) return signedForm(begun, begun.der, issuer);
  return finishIntent(a, systemActor(a, 'init'), begun, issuer, null);
}

async function makeCa(a: CaContext, kind: FirstKind, parent: Issuer | undefined, statusUrl: string): Promise<MadeCa> {
  const name = kind === 'root' ? 'Touchmark Root CA' : 'Touchmark Issuing CA 1';
  const plan = { id: newId(a.clock), name, kind, subject: caSubject(name), statusUrl };
  const prepared = await prepareCa(a, plan, parent);
  const actor = systemActor(a, 'init');
  const recorded = await a.database.transaction(async (tx) => {
    const intent = await recordCa(tx, a, actor, prepared);
    await logStatus(tx, a, actor, a.clock.now(), [caCreatedAudit(a, prepared.row)], []);
    return intent;
  });
  return { row: prepared.row, certificate: await finishIntent(a, actor, recorded, prepared.issuer, null) };
}

/**
 * The main root as this authority announced it, for whoever has no follower. Throws `unavailable` where there is none,
 * `internal` where the log was forged.
 */
export async function readRoot(a: Pick<AuthorityContext, 'database' | 'macKey'>): Promise<Issuer> {
  const { announced } = await a.database.transaction((tx) => readIssuers(tx, a));
  return requireRoot(mainRoot(announced));
}

/** The root that our own servers stand under at `now`. Throws as `readRoot` does. */
export async function readServerRoot(a: Pick<AuthorityContext, 'database' | 'macKey'>, now: Date): Promise<Issuer> {
  const { announced } = await a.database.transaction((tx) => readIssuers(tx, a));
  return requireRoot(serverRoot(announced, now));
}

function requireRoot(root: Issuer | undefined): Issuer {
  if (!root) throw new AuthorityError('unavailable', 'there is no root CA yet', { retryAfter: 5 });
  return root;
}
