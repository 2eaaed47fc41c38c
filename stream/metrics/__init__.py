"""How good depth is: the field's figures on arrays, one noun a file; ``score`` puts them together."""
