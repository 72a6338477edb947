import type { FastifyRequest } from 'fastify';
import { csrDemandFor, type AuthorityContext } from '#authority';
import { csrAttributesFor, csrAttributesResponse, type EstResponse, type LineForm } from '#est';
import type { EstLabel } from '#policy';
import { arrivedBy, presentedBy } from './presented.js';

/** RFC 7030 section 4.5: what a request should say; nobody has to say who he is (E121). */
export async function answerCsrAttributes(
  authority: AuthorityContext,
  label: EstLabel,
  request: FastifyRequest,
  form: LineForm,
): Promise<EstResponse> {
  const demand = await csrDemandFor(authority, {
    label,
    presented: presentedBy(request, label),
    address: arrivedBy(request).address,
  });
  return csrAttributesResponse(csrAttributesFor(demand), form, { personal: demand.names !== undefined });
}
