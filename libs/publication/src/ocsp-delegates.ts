import type { SealingKey } from '#credential';
import type { SubjectPublicKey } from '#pki';
import { ocspDelegateName, openOcspDelegate, type OcspDelegate } from '#status';
import { findArtifact, findPublished, type Database } from '#store';

/** The delegated signers, one per issuer key (O35), as they stand published; opened once each. */
export class OcspDelegates {
  private readonly held = new Map<string, { sha256: Buffer; delegate: OcspDelegate }>();

  /** `ocspKek`: secrets/ocsp.kek, 32 bytes. `onUnusable` hears of a published delegate that does not open; the last one stays. */
  constructor(
    private readonly ocspKek: SealingKey,
    private readonly onUnusable: (issuerId: string, error: unknown) => void,
  ) {}

  /** The delegate that may sign at this moment. */
  current(issuerId: string, at: Date): OcspDelegate | undefined {
    const delegate = this.held.get(issuerId)?.delegate;
    return delegate !== undefined && delegate.notBefore <= at && at < delegate.notAfter ? delegate : undefined;
  }

  /** Takes over what was published since. Throws `unavailable` when the database is. */
  async refresh(database: Database, issuers: readonly { id: string; publicKey: SubjectPublicKey }[]): Promise<void> {
    for (const issuer of issuers) {
      const name = ocspDelegateName(issuer.id);
      const artifact = await database.transaction(async (tx) => {
        const published = await findPublished(tx, name);
        if (published === undefined || this.held.get(issuer.id)?.sha256.equals(published.sha256)) return undefined;
        return findArtifact(tx, name);
      });
      if (artifact === undefined) continue;
      try {
        const delegate = openOcspDelegate(this.ocspKek, artifact.bytes, issuer);
        this.held.set(issuer.id, { sha256: artifact.sha256, delegate });
      } catch (error) {
        this.onUnusable(issuer.id, error);
      }
    }
  }
}
