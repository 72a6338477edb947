import { Body, Controller, Delete, Get, Param, Patch, Post, Put, Query } from '@nestjs/common';
import type { z } from 'zod';
import {
  currentProfile,
  currentProfiles,
  profileVersion,
  proposeProfile,
  proposeProfileChange,
  proposeProfileWithdrawal,
  proposeWholeProfile,
  type Actor,
  type AuthorityContext,
} from '#authority';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { By, Http, TheAuthority, type Exchange } from '../authority-module.js';
import { needsApproval, proposedSchema } from '../proposals.js';
import {
  newProfile,
  profileChange,
  profileJson,
  profilePage,
  profileQuery,
  profileSchema,
  wholeProfile,
} from '../schema/profiles.js';

/** A short list that never needs a second page, in the form that every list has. Every change needs a second person. */
@Controller('v1/profiles')
export class ProfileRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Get()
  @Access('profile:read')
  @Answers('List the certificate profiles as they are now', profilePage)
  list() {
    return { items: currentProfiles(this.a).map(profileJson), nextCursor: null };
  }

  @Get(':name')
  @Access('profile:read')
  @Answers('Get a profile, as a document that can be changed and sent back', profileSchema)
  async get(@Param('name') name: string, @Query({ schema: profileQuery }) query: z.infer<typeof profileQuery>) {
    const { version } = query;
    return profileJson(
      version === undefined ? currentProfile(this.a, name) : await profileVersion(this.a, name, version),
    );
  }

  @Post()
  @Access('profile:change')
  @Answers('Propose a profile besides those that there are', proposedSchema, 202)
  create(@By() by: Actor, @Http() http: Exchange, @Body({ schema: newProfile }) body: z.infer<typeof newProfile>) {
    return needsApproval(this.a, by, http, (joined) => proposeProfile(joined, by, body));
  }

  @Put(':name')
  @Access('profile:change')
  @Answers('Propose the whole of a profile, new or changed', proposedSchema, 202)
  replace(
    @By() by: Actor,
    @Http() http: Exchange,
    @Param('name') name: string,
    @Body({ schema: wholeProfile }) body: z.infer<typeof wholeProfile>,
  ) {
    return needsApproval(this.a, by, http, (joined) => proposeWholeProfile(joined, by, name, body));
  }

  @Patch(':name')
  @Access('profile:change')
  @Answers('Propose other members of a profile, for what is issued from then on', proposedSchema, 202)
  change(
    @By() by: Actor,
    @Http() http: Exchange,
    @Param('name') name: string,
    @Body({ schema: profileChange }) body: z.infer<typeof profileChange>,
  ) {
    return needsApproval(this.a, by, http, (joined) => proposeProfileChange(joined, by, name, body));
  }

  @Delete(':name')
  @Access('profile:change')
  @Answers('Propose to withdraw a profile that is not shipped: nothing is issued by it any more', proposedSchema, 202)
  withdraw(@By() by: Actor, @Http() http: Exchange, @Param('name') name: string) {
    return needsApproval(this.a, by, http, (joined) => proposeProfileWithdrawal(joined, by, name));
  }
}
