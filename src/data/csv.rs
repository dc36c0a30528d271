//! UserBehavior.csv.
