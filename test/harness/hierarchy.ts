import { randomBytes } from 'node:crypto';
import {
  approve,
  proposeIssuer,
  proposeIssuerActivation,
  renewOcspDelegate,
  type Actor,
  type AuthorityContext,
  type CaWish,
  type Issuer,
  type Proposed,
} from '#authority';
import { startTestDatabase, type TestDatabase } from './database.js';
import { makePerson } from './people.js';

type Person = Actor & { personId: string };

/** A database with two people who make and activate CAs, and all planes in step. */
export class Hierarchy {
  readonly ocspKek = randomBytes(32);

  private constructor(
    readonly db: TestDatabase,
    readonly api: AuthorityContext,
    readonly est: AuthorityContext,
    readonly worker: AuthorityContext,
    readonly admin: Person,
    readonly approver: Person,
  ) {}

  static async start(options: Parameters<typeof startTestDatabase>[0] = {}): Promise<Hierarchy> {
    const db = await startTestDatabase(options);
    const [api, est, worker] = [await db.context('api'), await db.context('est'), await db.context('worker')];
    return new Hierarchy(db, api, est, worker, await makePerson(db, ['admin']), await makePerson(db, ['approver']));
  }

  /** What was proposed is approved, and every plane has followed the log to its end. */
  async decided<T = { issuerId: string }>(proposed: Promise<Proposed>, as: AuthorityContext = this.api): Promise<T> {
    const { approvalId, digest } = await proposed;
    const { result } = await approve(as, this.approver, approvalId, { digest });
    await this.inStep();
    return result as T;
  }

  async inStep(): Promise<void> {
    const [head] = await this.db.sql<{ seq: string }>('select seq from status_counter');
    for (const one of [this.api, this.est, this.worker]) await one.follower.catchUp(Number(head!.seq));
  }

  async create(wish: Omit<CaWish, 'kind'> & Partial<Pick<CaWish, 'kind'>>): Promise<Issuer> {
    return this.find((await this.decided(proposeIssuer(this.api, this.admin, wish))).issuerId);
  }

  /** As the worker publishes it first. */
  async activate(id: string): Promise<Issuer> {
    await renewOcspDelegate(this.worker, await this.find(id), { ocspKek: this.ocspKek });
    await this.decided(proposeIssuerActivation(this.api, this.admin, id));
    return this.find(id);
  }

  async find(id: string): Promise<Issuer> {
    return this.est.issuers.require(id);
  }
}
