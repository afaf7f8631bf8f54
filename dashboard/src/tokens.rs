//! The tokens that let people in.

use std::fmt;

use subtle::ConstantTimeEq;

/// The shortest token taken, in bytes: what a person makes up can be guessed.
const SHORTEST: usize = 16;

/// A secret word: never printed.
#[derive(Clone)]
pub struct Token(String);

/// The tokens that let people in.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    /// Lets its bearer act.
    pub operator: Option<Token>,
    /// Lets its bearer look.
    pub viewer: Option<Token>,
}

impl Tokens {
    /// True where there is no token at all.
    pub fn are_none(&self) -> bool {
        self.operator.is_none() && self.viewer.is_none()
    }
}

impl Token {
    /// Takes a token that cannot be guessed. `origin` says in the message where it was found.
    ///
    /// # Errors
    /// That it is too short, and how to make one.
    pub fn new(token: &str, origin: &str) -> Result<Self, String> {
        if token.len() < SHORTEST {
            return Err(format!(
                "{origin}: the token has {} bytes; at least {SHORTEST} keep it from being \
                 guessed: `openssl rand -hex 32` makes one",
                token.len()
            ));
        }
        Ok(Self(token.to_owned()))
    }

    /// Compares in a time that does not tell how much of it is right.
    pub fn is(&self, typed: &str) -> bool {
        self.0.as_bytes().ct_eq(typed.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_short_and_not_printed() {
        let problem = Token::new("short", "the test").unwrap_err();
        assert!(problem.contains("5 bytes"), "{problem}");
        let token = Token::new("a-secret-nobody-may-see", "the test").unwrap();
        assert!(!format!("{token:?}").contains("secret"), "{token:?}");
        assert!(token.is("a-secret-nobody-may-see"));
        assert!(!token.is("a-secret-nobody-may-seE") && !token.is(""));
    }
}
