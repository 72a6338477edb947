import { z } from 'zod';
import type { Actor, AuthorityContext, Proposed } from '#authority';
import { createOnce, type Exchange } from './authority-module.js';
import { hex, id, time } from './schema/values.js';

export const proposedSchema = z
  .strictObject({ approvalId: id, digest: hex, expiresAt: time })
  .meta({ id: 'Proposed', description: 'Nothing is done yet: a second person has to approve what has this digest' });

export function proposedJson({ approvalId, digest, expiresAt }: Proposed): z.infer<typeof proposedSchema> {
  return { approvalId, digest, expiresAt: expiresAt.toISOString() };
}

/** The whole of a route whose operation needs a second person: 202 with the proposal; `Idempotency-Key` as for creations. */
export function needsApproval(
  a: AuthorityContext,
  actor: Actor,
  http: Exchange,
  work: (joined: AuthorityContext) => Promise<Proposed>,
): Promise<z.infer<typeof proposedSchema>> {
  return createOnce(a, actor, http, { secret: false, status: () => 202 }, async (joined) =>
    proposedJson(await work(joined)),
  );
}
