import { Body, Controller, Get, Param, Post, Query } from '@nestjs/common';
import { ApiResponse } from '@nestjs/swagger';
import { z } from 'zod';
import {
  claimDomain,
  countUnderDomain,
  disableDomain,
  enableDomain,
  MASS_REVOCATION,
  propose,
  verifyDomain,
  type Actor,
  type AuthorityContext,
} from '#authority';
import { findDomain, listDomains } from '#store';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { By, createOnce, Http, read, TheAuthority, type Exchange } from '../authority-module.js';
import { needsApproval, proposedJson, proposedSchema } from '../proposals.js';
import { domainJson, domainPage, domainSchema, nameEnd, newDomain } from '../schema/domains.js';
import { receiptJson, receiptSchema } from '../schema/receipt.js';
import { nothing, pageQuery } from '../schema/values.js';
import { domainId, found } from './path-forms.js';

const query = z.strictObject(pageQuery);
const claimAnswer = z.union([domainSchema, proposedSchema]);

/** The reason that is meant where none is given. */
export const endReason = (by: Actor, end: z.infer<typeof nameEnd>): string =>
  end?.reason ?? (by.authority ? 'privilegeWithdrawn' : 'cessationOfOperation');

@Controller('v1/domains')
export class DomainRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Post()
  @Access('domain:claim')
  @Answers('Claim a domain; its challenge says how to prove it', claimAnswer, 201)
  @ApiResponse({ status: 202, description: 'By grant: a second person approves', standardSchema: proposedSchema })
  claim(@By() by: Actor, @Http() http: Exchange, @Body({ schema: newDomain }) body: z.infer<typeof newDomain>) {
    const { name, organizationId = by.organizationId, proof } = body;
    const status = (answer: z.infer<typeof claimAnswer>) => ('approvalId' in answer ? 202 : 201);
    return createOnce<z.infer<typeof claimAnswer>>(this.a, by, http, { secret: false, status }, async (a) =>
      proof === 'grant'
        ? proposedJson(await propose(a, by, 'domain.grant', { organizationId, name: name.toLowerCase() }))
        : domainJson(a, await claimDomain(a, by, { name, organizationId })),
    );
  }

  @Get()
  @Access('domain:read')
  @Answers('List domains', domainPage)
  async list(@By() by: Actor, @Query({ schema: query }) page: z.infer<typeof query>) {
    const { items, nextCursor } = await read(this.a, by, (tx) => listDomains(tx, page));
    return { items: items.map((row) => domainJson(this.a, row)), nextCursor };
  }

  @Get(':id')
  @Access('domain:read')
  @Answers('Get a domain', domainSchema)
  async get(@By() by: Actor, @Param('id', domainId) id: string) {
    return domainJson(this.a, found(await read(this.a, by, (tx) => findDomain(tx, id)), 'domain'));
  }

  @Post(':id/verify')
  @Access('domain:change')
  @Answers('Look for the proof in DNS now', receiptSchema)
  async verify(
    @By() by: Actor,
    @Param('id', domainId) id: string,
    @Body({ schema: nothing }) _: z.infer<typeof nothing>,
  ) {
    return receiptJson(await verifyDomain(this.a, by, id));
  }

  @Post(':id/disable')
  @Access('domain:change')
  @Answers(
    'Disable a domain: every certificate with a name under it is revoked',
    z.union([receiptSchema, proposedSchema]),
  )
  @ApiResponse({ status: 202, description: 'Many devices: a second person approves', standardSchema: proposedSchema })
  async disable(
    @By() by: Actor,
    @Http() http: Exchange,
    @Param('id', domainId) id: string,
    @Body({ schema: nameEnd }) body: z.infer<typeof nameEnd>,
  ) {
    const reason = endReason(by, body);
    found(await read(this.a, by, (tx) => findDomain(tx, id)), 'domain');
    const devices = await countUnderDomain(this.a, by, id);
    if (devices < MASS_REVOCATION) return receiptJson(await disableDomain(this.a, by, id, reason));
    return needsApproval(this.a, by, http, (a) => propose(a, by, 'domain.disable', { domainId: id, reason, devices }));
  }

  @Post(':id/enable')
  @Access('domain:change')
  @Answers('Enable a disabled domain, by its proof; what was revoked stays so', receiptSchema)
  async enable(
    @By() by: Actor,
    @Param('id', domainId) id: string,
    @Body({ schema: nothing }) _: z.infer<typeof nothing>,
  ) {
    return receiptJson(await enableDomain(this.a, by, id));
  }
}
