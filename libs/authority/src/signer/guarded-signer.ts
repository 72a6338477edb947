import { appendAudit } from '#audit';
import { addSeconds, AuthorityError, isAuthorityError } from '#kernel';
import type { KeyType } from '#pki';
import type { CaPublicKey, KeyOptions, Signer, SignRequest } from '#signing';
import { countUnusedCaKeys, newId } from '#store';
import { recordedCertificate } from './recorded-certificate.js';
import { recordedRequest } from './recorded-request.js';
import { checkCrl, type SignedNumbers } from './recorded-crl.js';
import { RefusalLimit } from './refusal-limit.js';
import { catchUp, refusal, type SignerContext } from './signer-context.js';

const ACTOR = 'system:signer';
/** A key is made before the CA that needs it is recorded, so that some may stay unused; more than that is somebody's play. */
const UNUSED_KEYS = 20;
const UNUSED_SECONDS = 3600;

/**
 * The signer of its own: signs what this authority recorded and nothing else, whoever asks. What it is sent is compared
 * with what it derives; a difference is refused, audited (`signer.refused`) and alarmed: in a minute twenty of them one by
 * one, the others as a number.
 */
export class GuardedSigner implements Signer {
  private readonly signed: SignedNumbers = new Map();
  private readonly limit: RefusalLimit;

  constructor(
    private readonly signer: Signer,
    private readonly context: SignerContext,
  ) {
    this.limit = new RefusalLimit(context.clock, (count) => this.tellCount(count));
  }

  async sign(request: SignRequest): Promise<Buffer> {
    try {
      return await this.signer.sign({ ...request, message: await this.derive(request) });
    } catch (error) {
      if (isAuthorityError(error) && error.code === 'signerRefused') await this.tell(request, error.detail);
      throw error;
    }
  }

  async createKey(keyType: KeyType, options: KeyOptions = {}): Promise<CaPublicKey> {
    const { database, clock } = this.context;
    const since = addSeconds(clock.now(), -UNUSED_SECONDS);
    if ((await database.transaction((tx) => countUnusedCaKeys(tx, since))) >= UNUSED_KEYS) {
      throw new AuthorityError('limited', 'too many CA keys were made of which no CA came; wait an hour', {
        code: 'tooMany',
        retryAfter: UNUSED_SECONDS,
      });
    }
    const made = await this.signer.createKey(keyType, options);
    const { keyId } = made;
    await this.audit('caKey.created', `caKey:${keyId}`, 'success', { keyType, location: options.location });
    return made;
  }

  private async derive({ purpose, keyId, subject, message }: SignRequest): Promise<Buffer> {
    await catchUp(this.context);
    if (purpose === 'certificate' && 'intentId' in subject) {
      const recorded = await recordedCertificate(this.context, subject.intentId, keyId);
      if (!recorded.equals(message)) throw refusal('it is not what was recorded');
      return recorded;
    }
    if (purpose === 'crl' && 'artifactId' in subject) {
      await checkCrl(this.context, { artifactId: subject.artifactId, keyId, message }, this.signed);
      return message;
    }
    if (purpose === 'request' && 'issuerId' in subject) {
      const recorded = await recordedRequest(this.context, subject.issuerId, keyId);
      if (!recorded.equals(message)) throw refusal('it is not the request of this CA');
      return recorded;
    }
    throw refusal('a CA key signs recorded certificates, CRLs and requests of its own CA');
  }

  private async tell({ purpose, keyId, subject }: SignRequest, why: string): Promise<void> {
    if (!(await this.limit.take())) return;
    const about = nameOf(subject);
    this.context.log.error({ purpose, keyId, about, why }, 'ALARM: the signer was asked for what was not recorded');
    await this.auditRefusal(about.slice(0, 200), { purpose, keyId, why });
  }

  private async tellCount(count: number): Promise<void> {
    this.context.log.error({ count }, 'ALARM: the signer refused more than it tells of one by one');
    await this.auditRefusal('signer:refusals', { count });
  }

  private async auditRefusal(subject: string, detail: Record<string, string | number>): Promise<void> {
    try {
      await this.audit('signer.refused', subject, 'refused', detail);
    } catch (err) {
      this.context.log.error({ err }, 'the refusal of the signer could not be audited');
    }
  }

  private async audit(
    action: 'caKey.created' | 'signer.refused',
    subject: string,
    outcome: 'success' | 'refused',
    detail: Record<string, string | number | undefined>,
  ): Promise<void> {
    const { database, clock } = this.context;
    const requestId = newId(clock);
    await database.transaction((tx) =>
      appendAudit(tx, { at: clock.now(), actor: ACTOR, action, subject, outcome, requestId, detail }),
    );
  }
}

function nameOf(subject: SignRequest['subject']): string {
  if ('intentId' in subject) return `certificate:${subject.intentId}`;
  return 'issuerId' in subject ? `issuer:${subject.issuerId}` : `artifact:${subject.artifactId}`;
}
