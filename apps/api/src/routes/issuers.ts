import { Body, Controller, Get, Param, Post } from '@nestjs/common';
import type { z } from 'zod';
import {
  proposeIssuer,
  proposeIssuerActivation,
  proposeIssuerRevocation,
  type Actor,
  type AuthorityContext,
} from '#authority';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { By, Http, TheAuthority, type Exchange } from '../authority-module.js';
import { needsApproval, proposedSchema } from '../proposals.js';
import { issuerCreation, issuerJson, issuerPage, issuerRevocation } from '../schema/catalogue.js';
import { nothing } from '../schema/values.js';
import { issuerId } from './path-forms.js';

/** A short list that never needs a second page, in the form that every list has. Every change needs a second person. */
@Controller('v1/issuers')
export class IssuerRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Get()
  @Access('issuer:read')
  @Answers('List the certification authorities', issuerPage)
  async list() {
    return { items: (await this.a.issuers.list()).map(issuerJson), nextCursor: null };
  }

  @Post()
  @Access('issuer:change')
  @Answers('Propose a new issuing CA under the root; it issues once it is activated', proposedSchema, 202)
  create(
    @By() by: Actor,
    @Http() http: Exchange,
    @Body({ schema: issuerCreation }) body: z.infer<typeof issuerCreation>,
  ) {
    return needsApproval(this.a, by, http, (joined) => proposeIssuer(joined, by, body));
  }

  @Post(':id/activate')
  @Access('issuer:change')
  @Answers('Propose that this CA issues from now on, and the one that does so now is retired', proposedSchema, 202)
  activate(
    @By() by: Actor,
    @Http() http: Exchange,
    @Param('id', issuerId) id: string,
    @Body({ schema: nothing }) _: z.infer<typeof nothing>,
  ) {
    return needsApproval(this.a, by, http, (joined) => proposeIssuerActivation(joined, by, id));
  }

  @Post(':id/revoke')
  @Access('issuer:change')
  @Answers('Propose to revoke an issuing CA, and with it everything that it issued', proposedSchema, 202)
  revoke(
    @By() by: Actor,
    @Http() http: Exchange,
    @Param('id', issuerId) id: string,
    @Body({ schema: issuerRevocation }) body: z.infer<typeof issuerRevocation>,
  ) {
    return needsApproval(this.a, by, http, (joined) => proposeIssuerRevocation(joined, by, id, body.reason));
  }
}
