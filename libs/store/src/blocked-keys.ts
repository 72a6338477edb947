import { CERTIFICATE_COLUMNS, CERTIFICATE_FROM, type CertificateRow } from './certificates.js';
import type { Tx } from './database.js';
import { decodeCursor, toPage, type Page, type PageRequest } from './page.js';

/** Whence a key is blocked: revoked as compromised, a CA key of ours, a list that an operator imported. */
export const BLOCK_SOURCES = ['compromised', 'ca', 'imported'] as const;
export type BlockSource = (typeof BLOCK_SOURCES)[number];

export interface BlockedKey {
  spkiSha256: Buffer;
  source: BlockSource;
  reason: string;
  /** Who did it; null where an older release did not note it. */
  actor: string | null;
  importId: string | null;
  createdAt: Date;
}

/** For good: no certificate may carry this key again. False where it was blocked before; then nothing changes. */
export async function blockKey(
  tx: Tx,
  spkiSha256: Buffer,
  reason: string,
  by: { source?: Exclude<BlockSource, 'imported'>; actor?: string } = {},
): Promise<boolean> {
  const inserted = await tx.run(
    `insert into blocked_keys (spki_sha256, reason, source, actor) values ($1, $2, $3, $4) on conflict do nothing`,
    [spkiSha256, reason, by.source ?? 'compromised', by.actor ?? null],
  );
  return inserted === 1;
}

/** `blockKey` for many that are compromised. */
export async function blockKeys(
  tx: Tx,
  spkiSha256s: readonly Buffer[],
  reason: string,
  actor: string | null = null,
): Promise<void> {
  await tx.run(
    `insert into blocked_keys (spki_sha256, reason, actor) select decode(h, 'hex'), $2, $3 from unnest($1::text[]) as k(h)
     on conflict do nothing`,
    [spkiSha256s.map((one) => one.toString('hex')), reason, actor],
  );
}

export async function isKeyBlocked(tx: Tx, spkiSha256: Buffer): Promise<boolean> {
  const [row] = await tx.rows<{ blocked: boolean }>(
    `select exists (select 1 from blocked_keys where spki_sha256 = $1) as blocked`,
    [spkiSha256],
  );
  return row!.blocked;
}

/** A list as it was imported. `digest`: SHA-256 over the keys that it added, one after another in their order. */
export interface KeyImport {
  id: string;
  reason: string;
  actor: string;
  added: number;
  digest: Buffer;
  createdAt: Date;
  /** Under secrets/status.mac; made and checked above this lib. */
  mac: Buffer;
}

/** Blocks what is not blocked yet and answers that, in order. */
export async function importKeys(
  tx: Tx,
  row: Pick<KeyImport, 'id' | 'reason' | 'actor' | 'createdAt'>,
  spkiSha256s: readonly Buffer[],
): Promise<Buffer[]> {
  const added = await tx.rows<{ key: Buffer }>(
    `insert into blocked_keys (spki_sha256, reason, source, actor, import_id, created_at)
     select decode(h, 'hex'), $2, 'imported', $3, $4, $5 from unnest($1::text[]) as k(h)
     on conflict do nothing returning spki_sha256 as key`,
    [spkiSha256s.map((one) => one.toString('hex')), row.reason, row.actor, row.id, row.createdAt],
  );
  return added.map(({ key }) => key).sort(Buffer.compare);
}

export async function insertKeyImport(tx: Tx, row: KeyImport): Promise<void> {
  await tx.run(
    `insert into blocked_key_imports (id, reason, actor, added, digest, created_at, mac) values ($1, $2, $3, $4, $5, $6, $7)`,
    [row.id, row.reason, row.actor, row.added, row.digest, row.createdAt, row.mac],
  );
}

const IMPORT_COLUMNS = `id, reason, actor, added, digest, created_at as "createdAt", mac`;

export async function findKeyImport(tx: Tx, id: string): Promise<KeyImport | undefined> {
  const [row] = await tx.rows<KeyImport>(`select ${IMPORT_COLUMNS} from blocked_key_imports where id = $1`, [id]);
  return row;
}

/** The next `limit` imports by id, each with the digest over the keys that stand there now. */
export async function readKeyImports(
  tx: Tx,
  after: string | null,
  limit: number,
): Promise<(KeyImport & { present: Buffer })[]> {
  return tx.rows(
    `select ${IMPORT_COLUMNS},
       sha256(coalesce((select string_agg(b.spki_sha256, '\\x'::bytea order by b.spki_sha256) from blocked_keys b
                        where b.import_id = i.id), '\\x'::bytea)) as present
     from blocked_key_imports i where $1::uuid is null or id > $1 order by id limit $2`,
    [after, limit],
  );
}

/** Newest first. */
export async function listBlockedKeys(
  tx: Tx,
  page: PageRequest,
  filter: { source?: BlockSource | undefined; importId?: string | undefined },
): Promise<Page<BlockedKey>> {
  const [createdAt, key] = page.cursor === undefined ? [null, null] : decodeCursor(page.cursor, ['number', 'digest']);
  const rows = await tx.rows<BlockedKey & { createdMicros: string }>(
    `select spki_sha256 as "spkiSha256", source, reason, actor, import_id as "importId", created_at as "createdAt",
       (extract(epoch from created_at) * 1000000)::bigint::text as "createdMicros"
     from blocked_keys
     where ($1::bigint is null
            or (created_at, spki_sha256) < (timestamptz 'epoch' + $1 * interval '1 microsecond', decode($2, 'hex')))
       and ($3::text is null or source = $3) and ($4::uuid is null or import_id = $4)
     order by created_at desc, spki_sha256 desc limit $5`,
    [createdAt ?? null, key ?? null, filter.source ?? null, filter.importId ?? null, page.limit + 1],
  );
  return toPage(rows, page.limit, (row) => [row.createdMicros, row.spkiSha256.toString('hex')]);
}

const OF_IMPORT = `from blocked_keys b join certificates c on c.spki_sha256 = b.spki_sha256
  join serials s on s.serial = c.serial and s.not_after = c.not_after
  where b.import_id = $1 and c.not_after > $2 and s.state <> 'abandoned' and c.profile <> all($3::text[])
    and coalesce((select l.status from status_changes l where l.kind = 'certificate' and l.subject = encode(c.serial, 'hex')
                  order by l.seq desc limit 1), '') <> 'revoked'`;

/** Certificates that carry a key of this import and are neither revoked nor past their end, those of `except` left out. */
export async function countOfImport(tx: Tx, importId: string, at: Date, except: readonly string[]): Promise<number> {
  const [row] = await tx.rows<{ count: number }>(`select count(*)::int as count ${OF_IMPORT}`, [importId, at, except]);
  return row!.count;
}

/** The same, each locked as by `lockCertificate`. */
export async function lockOfImport(
  tx: Tx,
  importId: string,
  at: Date,
  except: readonly string[],
): Promise<CertificateRow[]> {
  const rows = await tx.rows<{ serial: Buffer }>(
    `select c.serial ${OF_IMPORT} order by c.serial for no key update of s`,
    [importId, at, except],
  );
  return tx.rows<CertificateRow>(
    `select ${CERTIFICATE_COLUMNS} ${CERTIFICATE_FROM}
     where s.serial in (select decode(h, 'hex') from unnest($1::text[]) as k(h)) order by c.serial`,
    [rows.map(({ serial }) => serial.toString('hex'))],
  );
}
