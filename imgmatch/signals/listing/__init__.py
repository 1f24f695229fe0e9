"""What do price, seller and wording say against the claim?"""
