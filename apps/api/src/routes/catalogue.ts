import { Controller, Get } from '@nestjs/common';
import { currentProfiles, type AuthorityContext } from '#authority';
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
    return { items: currentProfiles(this.a).map(profileJson), nextCursor: null };
  }
}
