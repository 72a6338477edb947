alter table serials drop column published;
