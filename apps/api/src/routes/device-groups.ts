import { Body, Controller, Get, Param, Post, Query } from '@nestjs/common';
import { z } from 'zod';
import { createDeviceGroup, type Actor, type AuthorityContext } from '#authority';
import { findDeviceGroup, listDeviceGroups } from '#store';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { By, createOnce, Http, read, TheAuthority, type Exchange } from '../authority-module.js';
import { groupJson, groupPage, groupSchema, newGroup } from '../schema/registry.js';
import { pageQuery } from '../schema/values.js';
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
      groupJson(await createDeviceGroup(a, by, body)),
    );
  }

  @Get()
  @Access('group:read')
  @Answers('List device groups', groupPage)
  async list(@By() by: Actor, @Query({ schema: query }) page: z.infer<typeof query>) {
    const { items, nextCursor } = await read(this.a, by, (tx) => listDeviceGroups(tx, page));
    return { items: items.map(groupJson), nextCursor };
  }

  @Get(':id')
  @Access('group:read')
  @Answers('Get a device group', groupSchema)
  async get(@By() by: Actor, @Param('id', groupId) id: string) {
    return groupJson(found(await read(this.a, by, (tx) => findDeviceGroup(tx, id)), 'device group'));
  }
}
