<?xml version="1.0" encoding="UTF-8"?>
<lexicon version="1.0" xmlns="http://www.w3.org/2005/01/pronunciation-lexicon"
    alphabet="ipa" xml:lang="en-US">
  <metadata><who>the operator</who></metadata>
  <lexeme><grapheme>Entracte</grapheme><phoneme>ˈɒntrækt</phoneme></lexeme>
  <lexeme><grapheme>St.</grapheme><grapheme>Saint</grapheme><alias>saint</alias></lexeme>
  <lexeme><grapheme>New York</grapheme><phoneme prefer="true">nuː ˈjɔɹk</phoneme><phoneme>n</phoneme></lexeme>
  <lexeme><grapheme>AT&amp;T</grapheme><alias>A T and T</alias><example>AT&amp;T calls</example></lexeme>
</lexicon>
