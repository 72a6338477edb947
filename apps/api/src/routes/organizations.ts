import { Body, Controller, Get, Param, Post, Put, Query } from '@nestjs/common';
import { z } from 'zod';
import { changeQuotas, createOrganization, readQuotas, type Actor, type AuthorityContext } from '#authority';
import { findOrganization, listOrganizations } from '#store';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { By, createOnce, Http, read, TheAuthority, type Exchange } from '../authority-module.js';
import {
  newOrganization,
  organizationJson,
  organizationPage,
  organizationSchema,
  quotasJson,
  quotasSchema,
} from '../schema/registry.js';
import { pageQuery } from '../schema/values.js';
import { found, organizationId } from './path-forms.js';

const query = z.strictObject(pageQuery);

@Controller('v1/organizations')
export class OrganizationRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Post()
  @Access('organization:create')
  @Answers('Create an organization', organizationSchema, 201)
  create(
    @By() by: Actor,
    @Http() http: Exchange,
    @Body({ schema: newOrganization }) body: z.infer<typeof newOrganization>,
  ) {
    return createOnce(this.a, by, http, { secret: false }, async (a) =>
      organizationJson(await createOrganization(a, by, body)),
    );
  }

  @Get()
  @Access('organization:read')
  @Answers('List organizations', organizationPage)
  async list(@By() by: Actor, @Query({ schema: query }) page: z.infer<typeof query>) {
    const { items, nextCursor } = await read(this.a, by, (tx) => listOrganizations(tx, page));
    return { items: items.map(organizationJson), nextCursor };
  }

  @Get(':id')
  @Access('organization:read')
  @Answers('Get an organization', organizationSchema)
  async get(@By() by: Actor, @Param('id', organizationId) id: string) {
    return organizationJson(found(await read(this.a, by, (tx) => findOrganization(tx, id)), 'organization'));
  }

  @Get(':id/quotas')
  @Access('quota:read')
  @Answers('Get the quotas of an organization', quotasSchema)
  async quotas(@By() by: Actor, @Param('id', organizationId) id: string) {
    return quotasJson(await readQuotas(this.a, by, id));
  }

  @Put(':id/quotas')
  @Access('quota:manage')
  @Answers('Replace the quotas of an organization', quotasSchema)
  async setQuotas(
    @By() by: Actor,
    @Param('id', organizationId) id: string,
    @Body({ schema: quotasSchema }) body: z.infer<typeof quotasSchema>,
  ) {
    return quotasJson(await changeQuotas(this.a, by, id, body));
  }
}
