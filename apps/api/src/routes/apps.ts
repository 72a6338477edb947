import { Body, Controller, Get, Param, Post, Query } from '@nestjs/common';
import { z } from 'zod';
import { createApp, createRelease, type Actor, type AuthorityContext } from '#authority';
import { findApp, findRelease, listApps, listReleases } from '#store';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { By, createOnce, Http, read, TheAuthority, type Exchange } from '../authority-module.js';
import {
  appJson,
  appPage,
  appSchema,
  newApp,
  newRelease,
  releaseJson,
  releasePage,
  releaseSchema,
} from '../schema/registry.js';
import { pageQuery } from '../schema/values.js';
import { appId, found, releaseId } from './path-forms.js';

const query = z.strictObject(pageQuery);

@Controller('v1/apps')
export class AppRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Post()
  @Access('app:create')
  @Answers('Create an app of a vendor', appSchema, 201)
  create(@By() by: Actor, @Http() http: Exchange, @Body({ schema: newApp }) body: z.infer<typeof newApp>) {
    return createOnce(this.a, by, http, { secret: false }, async (a) => appJson(await createApp(a, by, body)));
  }

  @Get()
  @Access('app:read')
  @Answers('List apps', appPage)
  async list(@By() by: Actor, @Query({ schema: query }) page: z.infer<typeof query>) {
    const { items, nextCursor } = await read(this.a, by, (tx) => listApps(tx, page));
    return { items: items.map(appJson), nextCursor };
  }

  @Get(':id')
  @Access('app:read')
  @Answers('Get an app', appSchema)
  async get(@By() by: Actor, @Param('id', appId) id: string) {
    return appJson(found(await read(this.a, by, (tx) => findApp(tx, id)), 'app'));
  }

  @Post(':id/releases')
  @Access('release:create')
  @Answers('Create a release of an app', releaseSchema, 201)
  createRelease(
    @By() by: Actor,
    @Http() http: Exchange,
    @Param('id', appId) id: string,
    @Body({ schema: newRelease }) body: z.infer<typeof newRelease>,
  ) {
    return createOnce(this.a, by, http, { secret: false }, async (a) =>
      releaseJson(await createRelease(a, by, id, body)),
    );
  }

  @Get(':id/releases')
  @Access('release:read')
  @Answers('List the releases of an app', releasePage)
  async listReleases(
    @By() by: Actor,
    @Param('id', appId) id: string,
    @Query({ schema: query }) page: z.infer<typeof query>,
  ) {
    const { items, nextCursor } = await read(this.a, by, async (tx) => {
      found(await findApp(tx, id), 'app');
      return listReleases(tx, page, id);
    });
    return { items: items.map(releaseJson), nextCursor };
  }

  @Get(':id/releases/:releaseId')
  @Access('release:read')
  @Answers('Get a release of an app', releaseSchema)
  async getRelease(@By() by: Actor, @Param('id', appId) id: string, @Param('releaseId', releaseId) release: string) {
    const row = await read(this.a, by, (tx) => findRelease(tx, release));
    return releaseJson(found(row?.appId === id ? row : undefined, 'release'));
  }
}
