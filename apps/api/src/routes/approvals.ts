import { Body, Controller, Get, Param, Post, Query } from '@nestjs/common';
import type { z } from 'zod';
import {
  approve,
  approvePending,
  reject,
  rejectPending,
  withdraw,
  type Actor,
  type AuthorityContext,
} from '#authority';
import {
  findApproval,
  findDevice,
  findDevices,
  findPendingEnrollment,
  listApprovals,
  listPendingEnrollments,
  toPage,
  type PendingEnrollmentRow,
  type Tx,
} from '#store';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { By, read, TheAuthority } from '../authority-module.js';
import {
  approvalDecision,
  approvalJson,
  approvalPage,
  approvalQuery,
  approvalSchema,
  ENROLLMENT,
  executedJson,
  executedSchema,
  pendingJson,
  pendingStates,
  rejection,
} from '../schema/approvals.js';
import { nothing } from '../schema/values.js';
import { approvalId, found } from './path-forms.js';

@Controller('v1/approvals')
export class ApprovalRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Get()
  @Access('approval:read')
  @Answers('List what was proposed, and the enrollments that wait', approvalPage)
  async list(@By() by: Actor, @Query({ schema: approvalQuery }) query: z.infer<typeof approvalQuery>) {
    return read(this.a, by, (tx) => listBoth(tx, this.a, query));
  }

  @Get(':id')
  @Access('approval:read')
  @Answers('Get a proposal, or an enrollment that waits', approvalSchema)
  async get(@By() by: Actor, @Param('id', approvalId) id: string) {
    const pending = await this.pending(by, id);
    if (pending) return this.shown(by, pending);
    return approvalJson(this.a, found(await read(this.a, by, (tx) => findApproval(tx, id)), 'approval'));
  }

  @Post(':id/approve')
  @Access('approval:decide')
  @Answers('Approve what somebody else proposed; it is executed at once. Or the enrollment of a device', executedSchema)
  async approve(
    @By() by: Actor,
    @Param('id', approvalId) id: string,
    @Body({ schema: approvalDecision }) body: z.infer<typeof approvalDecision>,
  ) {
    if (await this.pending(by, id)) return this.shown(by, await approvePending(this.a, by, id, body ?? {}));
    return executedJson(this.a, await approve(this.a, by, id, body ?? {}));
  }

  @Post(':id/reject')
  @Access('approval:decide')
  @Answers('Reject a proposal, or an enrollment, for good', approvalSchema)
  async reject(
    @By() by: Actor,
    @Param('id', approvalId) id: string,
    @Body({ schema: rejection }) body: z.infer<typeof rejection>,
  ) {
    if (await this.pending(by, id)) return this.shown(by, await rejectPending(this.a, by, id, body ?? {}));
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

  private async shown(by: Actor, row: PendingEnrollmentRow) {
    return pendingJson(this.a, row, await read(this.a, by, (tx) => findDevice(tx, row.deviceId)));
  }

  private pending(by: Actor, id: string) {
    return read(this.a, by, (tx) => findPendingEnrollment(tx, id));
  }
}

/** Both kinds in one order: their ids begin with the time. */
async function listBoth(tx: Tx, a: AuthorityContext, query: z.infer<typeof approvalQuery>) {
  const { operation, state, limit } = query;
  const page = { ...query, limit: limit + 1 };
  const proposals = operation === ENROLLMENT ? [] : (await listApprovals(tx, page, { state, operation })).items;
  const enrollments =
    operation === undefined || operation === ENROLLMENT
      ? (await listPendingEnrollments(tx, page, pendingStates(state))).items
      : [];
  const devices = await findDevices(
    tx,
    enrollments.map(({ deviceId }) => deviceId),
  );
  const deviceOf = new Map(devices.map((device) => [device.id, device]));
  const all = [
    ...proposals.map((row) => approvalJson(a, row)),
    ...enrollments.map((row) => pendingJson(a, row, deviceOf.get(row.deviceId))),
  ].toSorted((one, other) => (one.id < other.id ? 1 : -1));
  return toPage(all, limit, ({ id }) => [id]);
}
