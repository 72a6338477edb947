import { Body, Controller, Get, Param, Post, Query } from '@nestjs/common';
import type { z } from 'zod';
import { approve, reject, withdraw, type Actor, type AuthorityContext } from '#authority';
import { findApproval, listApprovals } from '#store';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { By, read, TheAuthority } from '../authority-module.js';
import {
  approvalDecision,
  approvalJson,
  approvalPage,
  approvalQuery,
  approvalSchema,
  executedJson,
  executedSchema,
} from '../schema/approvals.js';
import { nothing } from '../schema/values.js';
import { approvalId, found } from './path-forms.js';

@Controller('v1/approvals')
export class ApprovalRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Get()
  @Access('approval:read')
  @Answers('List what was proposed', approvalPage)
  async list(@By() by: Actor, @Query({ schema: approvalQuery }) query: z.infer<typeof approvalQuery>) {
    const { items, nextCursor } = await read(this.a, by, (tx) => listApprovals(tx, query, query));
    return { items: items.map((row) => approvalJson(this.a, row)), nextCursor };
  }

  @Get(':id')
  @Access('approval:read')
  @Answers('Get a proposal', approvalSchema)
  async get(@By() by: Actor, @Param('id', approvalId) id: string) {
    return approvalJson(this.a, found(await read(this.a, by, (tx) => findApproval(tx, id)), 'approval'));
  }

  @Post(':id/approve')
  @Access('approval:decide')
  @Answers('Approve what somebody else proposed; it is executed at once', executedSchema)
  async approve(
    @By() by: Actor,
    @Param('id', approvalId) id: string,
    @Body({ schema: approvalDecision }) body: z.infer<typeof approvalDecision>,
  ) {
    return executedJson(this.a, await approve(this.a, by, id, body ?? {}));
  }

  @Post(':id/reject')
  @Access('approval:decide')
  @Answers('Reject a proposal for good', approvalSchema)
  async reject(
    @By() by: Actor,
    @Param('id', approvalId) id: string,
    @Body({ schema: nothing }) _: z.infer<typeof nothing>,
  ) {
    return approvalJson(this.a, await reject(this.a, by, id));
  }

  @Post(':id/withdraw')
  @Access('approval:read')
  @Answers('Withdraw what one proposed oneself', approvalSchema)
  async withdraw(
    @By() by: Actor,
    @Param('id', approvalId) id: string,
    @Body({ schema: nothing }) _: z.infer<typeof nothing>,
  ) {
    return approvalJson(this.a, await withdraw(this.a, by, id));
  }
}
