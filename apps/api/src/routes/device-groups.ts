import { Body, Controller, Get, Param, Post, Query } from '@nestjs/common';
import { z } from 'zod';
import {
  callRenewal,
  createDeviceGroup,
  propose,
  resumeGroup,
  suspendGroup,
  type Actor,
  type AuthorityContext,
} from '#authority';
import { findDeviceGroup, listDeviceGroups } from '#store';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { By, createOnce, Http, read, TheAuthority, type Exchange } from '../authority-module.js';
import { needsApproval, proposedSchema } from '../proposals.js';
import { deviceRevocation } from '../schema/devices.js';
import { receiptJson, receiptSchema } from '../schema/receipt.js';
import { groupJson, groupPage, groupSchema, newGroup } from '../schema/registry.js';
import { calledJson, renewalCall, renewalCalledSchema } from '../schema/renewals.js';
import { nothing, pageQuery } from '../schema/values.js';
import { found, groupId } from './path-forms.js';

const query = z.strictObject(pageQuery);

@Controller('v1/device-groups')
export class DeviceGroupRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Post()
  @Access('group:create')
  @Answers('Create a group of devices that are trusted alike', groupSchema, 201)
  create(@By() by: Actor, @Http() http: Exchange, @Body({ schema: newGroup }) body: z.infer<typeof newGroup>) {
    return createOnce(this.a, by, http, { secret: false }, async (a) =>
      groupJson(this.a, await createDeviceGroup(a, by, body)),
    );
  }

  @Get()
  @Access('group:read')
  @Answers('List device groups', groupPage)
  async list(@By() by: Actor, @Query({ schema: query }) page: z.infer<typeof query>) {
    const { items, nextCursor } = await read(this.a, by, (tx) => listDeviceGroups(tx, page));
    return { items: items.map((row) => groupJson(this.a, row)), nextCursor };
  }

  @Get(':id')
  @Access('group:read')
  @Answers('Get a device group', groupSchema)
  async get(@By() by: Actor, @Param('id', groupId) id: string) {
    return groupJson(this.a, found(await read(this.a, by, (tx) => findDeviceGroup(tx, id)), 'device group'));
  }

  @Post(':id/renew-now')
  @Access('renewal:call')
  @Answers('Call for the renewal of every certificate of a group up to now', renewalCalledSchema)
  async renewNow(
    @By() by: Actor,
    @Param('id', groupId) id: string,
    @Body({ schema: renewalCall }) { reason }: z.infer<typeof renewalCall>,
  ) {
    return calledJson(await callRenewal(this.a, by, { kind: 'group', id, reason }));
  }

  @Post(':id/suspend')
  @Access('group:suspend')
  @Answers('Suspend a group: nobody of it enrolls or renews, its certificates go on hold', receiptSchema)
  async suspend(
    @By() by: Actor,
    @Param('id', groupId) id: string,
    @Body({ schema: nothing }) _: z.infer<typeof nothing>,
  ) {
    return receiptJson(await suspendGroup(this.a, by, id));
  }

  @Post(':id/resume')
  @Access('group:resume')
  @Answers('Lift the suspension of a group, and the holds that it made', receiptSchema)
  async resume(
    @By() by: Actor,
    @Param('id', groupId) id: string,
    @Body({ schema: nothing }) _: z.infer<typeof nothing>,
  ) {
    return receiptJson(await resumeGroup(this.a, by, id));
  }

  @Post(':id/revoke')
  @Access('group:revoke')
  @Answers('Propose to revoke a group with every device of it; a second person approves', proposedSchema, 202)
  revoke(
    @By() by: Actor,
    @Http() http: Exchange,
    @Param('id', groupId) id: string,
    @Body({ schema: deviceRevocation }) { reason }: z.infer<typeof deviceRevocation>,
  ) {
    return needsApproval(this.a, by, http, (a) => propose(a, by, 'group.revoke', { groupId: id, reason }));
  }
}
