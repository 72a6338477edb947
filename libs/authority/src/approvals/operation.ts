import type { CanonicalValue } from '#audit';
import type { Permission } from '#policy';
import type { OperationName, StatusChange, Tx } from '#store';
import type { StatusAudit } from '../change-status.js';
import type { Actor, AuthorityContext } from '../context.js';

/** What needs a second person. Parameters are what JSON keeps; never a secret. */
export interface Operation<P extends CanonicalValue = CanonicalValue> {
  name: OperationName;
  /** What the proposer must hold: when it is proposed and still when it is executed. */
  permission: Permission;
  /** `<kind>:<id>` of what it is done to. */
  subject(parameters: P): string;
  /** Refuses what could not be done now; asked when it is proposed and again, in the transaction, when it is executed. */
  check(tx: Tx, a: AuthorityContext, actor: Actor, parameters: P): Promise<void>;
  /** Outside the transaction, before it: what must not be done under locks (a new CA key). */
  prepare?(a: AuthorityContext, parameters: P): Promise<unknown>;
  /**
   * In the transaction that records the approval. Writes no status and no audit entry itself: it answers them, so that the
   * log is written once, last. `actor` is who approves; `approvalId` is what the log may name as the reason.
   */
  execute(
    tx: Tx,
    a: AuthorityContext,
    actor: Actor,
    parameters: P,
    execution: { approvalId: string; prepared: unknown; at: Date },
  ): Promise<Executed>;
  /** After the commit: what a crash may cut off, because a reconciler finishes it. */
  after?(a: AuthorityContext, actor: Actor, parameters: P, executed: Executed): Promise<void>;
}

/** The way in that an operation made for somebody; times as RFC 3339 texts. */
export interface SecretResult {
  enrollment?: Readonly<{ username: string; secret: string; expiresAt: string }>;
  invitation?: Readonly<{ code: string; expiresAt: string }>;
}

export interface Executed {
  audits: StatusAudit[];
  changes: StatusChange[];
  result: Readonly<Record<string, CanonicalValue>>;
  /** Shown once in the answer to the approver, stored nowhere. */
  secretResult?: SecretResult;
}
