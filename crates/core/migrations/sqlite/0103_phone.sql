ALTER TABLE recipients ADD COLUMN phone TEXT NOT NULL DEFAULT ''; -- as E.164 has it when it is international, else as typed

-- Until now a phone number could only be an attribute. One that fits into the field moves there; letters find it under
-- both names.
UPDATE recipients
SET phone = trim(attributes ->> '$.phone'), attributes = json_remove(attributes, '$.phone')
WHERE json_type(attributes, '$.phone') IN ('text', 'integer')
  AND length(trim(attributes ->> '$.phone')) BETWEEN 1 AND 64
  AND (attributes ->> '$.phone') NOT GLOB '*[' || char(1) || '-' || char(31) || char(127) || ']*';

-- +7 (900) 123-45-67 → +79001234567. "(0)" is dialled only within a country.
UPDATE recipients
SET phone = replace(replace(replace(replace(replace(phone, ' ', ''), '-', ''), '.', ''), '(', ''), ')', '')
WHERE phone GLOB '+*' AND phone NOT LIKE '%(0)%'
  AND replace(replace(replace(replace(replace(phone, ' ', ''), '-', ''), '.', ''), '(', ''), ')', '')
      GLOB '+[1-9][0-9][0-9][0-9][0-9][0-9][0-9]*'
  AND substr(replace(replace(replace(replace(replace(phone, ' ', ''), '-', ''), '.', ''), '(', ''), ')', ''), 2)
      NOT GLOB '*[^0-9]*'
  AND length(replace(replace(replace(replace(replace(phone, ' ', ''), '-', ''), '.', ''), '(', ''), ')', '')) <= 16;

-- The search finds a number as it is stored, and by its digits.
UPDATE recipients
SET search = search || ' ' || lower(phone) || ' ' || replace(replace(replace(replace(replace(replace(
                 phone, '+', ''), ' ', ''), '-', ''), '.', ''), '(', ''), ')', '')
WHERE phone <> '';
