<lexicon>
<lexeme><grapheme>a</grapheme>
