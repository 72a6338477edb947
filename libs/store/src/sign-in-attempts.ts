import type { Tx } from './database.js';

export type SignInAttemptKind = 'oidc' | 'passkey' | 'passkeyRegistration';

/** What a sign-in that has begun must come back with. */
export interface SignInAttemptRow {
  id: string;
  kind: SignInAttemptKind;
  /** Under secrets/api.kek. */
  sealed: Buffer;
  expiresAt: Date;
}

export async function insertSignInAttempt(tx: Tx, row: SignInAttemptRow): Promise<void> {
  await tx.run(`insert into sign_in_attempts (id, kind, sealed, expires_at) values ($1, $2, $3, $4)`, [
    row.id,
    row.kind,
    row.sealed,
    row.expiresAt,
  ]);
}

/** Gives it once: whoever asks again gets nothing. */
export async function takeSignInAttempt(
  tx: Tx,
  id: string,
  kind: SignInAttemptKind,
): Promise<SignInAttemptRow | undefined> {
  const [row] = await tx.rows<SignInAttemptRow>(
    `with taken as (delete from sign_in_attempts where id = $1 and kind = $2
       returning id, kind, sealed, expires_at as "expiresAt") select * from taken`,
    [id, kind],
  );
  return row;
}

/** What nobody came back with. */
export async function dropExpiredSignInAttempts(tx: Tx, at: Date): Promise<void> {
  await tx.run(`delete from sign_in_attempts where expires_at <= $1`, [at]);
}
