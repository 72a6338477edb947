import { Controller, Get } from '@nestjs/common';
import type { AuthorityContext } from '#authority';
import { profiles } from '#policy';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { TheAuthority } from '../authority-module.js';
import { issuerJson, issuerPage, profileJson, profilePage } from '../schema/catalogue.js';

/** Short lists that never need a second page, in the form that every list has. */
@Controller('v1')
export class CatalogueRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Get('issuers')
  @Access('issuer:read')
  @Answers('List the certification authorities', issuerPage)
  async issuers() {
    return { items: (await this.a.issuers.list()).map(issuerJson), nextCursor: null };
  }

  @Get('profiles')
  @Access('profile:read')
  @Answers('List the certificate profiles', profilePage)
  profiles() {
    return { items: Object.values(profiles(this.a.lifetimes)).map(profileJson), nextCursor: null };
  }
}
